//! A broker.

use askama::Template;

use super::{ConfigTable, Frame};
use crate::kafka::{Broker, Config, LogDir, Snapshot};
use crate::text;
use crate::trouble::Trouble;

/// A broker: its log directories and configs.
#[derive(Template)]
#[template(path = "broker.html")]
pub(crate) struct BrokerPage {
    frame: Frame,
    id: i32,
    address: String,
    rack: String,
    is_controller: bool,
    leads: String,
    replicas: String,
    dirs: Vec<DirRow>,
    dirs_trouble: Option<String>,
    configs: ConfigTable,
    configs_trouble: Option<String>,
}

struct DirRow {
    path: String,
    replicas: String,
    size: String,
    total: String,
    usable: String,
    state: String,
    is_bad: bool,
}

impl BrokerPage {
    /// A broker with what it says of itself, as far as it does.
    pub(crate) fn new(
        frame: Frame,
        snapshot: &Snapshot,
        broker: &Broker,
        dirs: Result<Vec<LogDir>, Trouble>,
        configs: Result<Vec<Config>, Trouble>,
    ) -> Self {
        let partitions = || snapshot.topics.values().flat_map(|topic| &topic.partitions);
        let (dirs, dirs_trouble) = split(dirs);
        let (configs, configs_trouble) = split(configs);
        Self {
            frame,
            id: broker.id,
            address: format!("{}:{}", broker.host, broker.port),
            rack: broker.rack.clone().unwrap_or_else(|| "none".to_owned()),
            is_controller: snapshot.controller == Some(broker.id),
            leads: text::count(partitions().filter(|partition| partition.leader == Some(broker.id)).count()),
            replicas: text::count(partitions().filter(|partition| partition.replicas.contains(&broker.id)).count()),
            dirs: dirs.iter().map(DirRow::new).collect(),
            dirs_trouble,
            configs: ConfigTable::new(configs),
            configs_trouble,
        }
    }
}

fn split<T>(asked: Result<Vec<T>, Trouble>) -> (Vec<T>, Option<String>) {
    match asked {
        Ok(found) => (found, None),
        Err(trouble) => (Vec::new(), Some(trouble.to_string())),
    }
}

impl DirRow {
    fn new(dir: &LogDir) -> Self {
        let size = |bytes: Option<i64>| bytes.map_or("unknown".to_owned(), text::size);
        Self {
            path: dir.path.clone(),
            replicas: text::count(dir.replicas),
            size: text::size(dir.bytes()),
            total: size(dir.total),
            usable: size(dir.usable),
            state: dir.trouble.clone().unwrap_or_else(|| "online".to_owned()),
            is_bad: dir.trouble.is_some(),
        }
    }
}
