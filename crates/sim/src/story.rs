//! What the stories of the simulation share: a client that waits for the node, and what was acknowledged to it.

use std::cell::RefCell;
use std::time::Duration;

use thalweg_base::Uuid;

use crate::client::Client;
use crate::world::ADDRESS;

/// Connects as soon as the node listens.
pub async fn connect() -> Client {
    loop {
        if let Ok(client) = Client::connect(ADDRESS).await {
            return client;
        }
        pause().await;
    }
}

/// Lets others go on for a while.
pub async fn pause() {
    let pending = std::future::pending::<()>();
    thalweg_sys::time::timeout(Duration::from_millis(50), pending).await.unwrap_or_default();
}

/// What was acknowledged of a topic.
#[derive(Debug, Default)]
pub struct Topic {
    /// Once it was created.
    pub id: Option<Uuid>,
    /// By offset.
    pub acknowledged: Vec<(i64, Vec<u8>)>,
}

/// Produces a record that tells its number; says whether it was acknowledged.
pub async fn produce(topic: &RefCell<Topic>, client: &mut Client, number: u64) -> bool {
    let Some(id) = topic.borrow().id else { return false };
    let value = format!("record {number}").into_bytes();
    let answer = client.produce(id, &value).await;
    if let Ok(offset) = answer {
        topic.borrow_mut().acknowledged.push((offset, value));
    }
    answer.is_ok()
}

/// Reads the whole topic; everything that was acknowledged must be there.
///
/// # Errors
/// When the connection ends, or the node refuses.
///
/// # Panics
/// When an acknowledged record is lost.
pub async fn check(topic: &RefCell<Topic>, client: &mut Client) -> std::io::Result<()> {
    let (id, acknowledged) = (topic.borrow().id, topic.borrow().acknowledged.clone());
    let read = client.read_all(id.unwrap_or_default()).await?;
    for (offset, value) in acknowledged {
        let found = read.iter().any(|(at, bytes)| *at == offset && **bytes == *value);
        assert!(found, "record {offset} was acknowledged and is lost");
    }
    Ok(())
}
