//! The way to one address: a connection that is made when it is needed, and made again when it has broken.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_sys::time::{Duration, Instant, now, timeout_at};
use thalweg_sys::watch;
use thalweg_wire::Request;

use crate::{Backoff, Connection, ConnectionOptions, Error, Peer};

/// What a channel is like. The default is Kafka's default for clients.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// What its connections are like.
    pub connection: ConnectionOptions,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`: how long nothing is tried after a failed attempt.
    pub reconnect: Backoff,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        let reconnect = Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };
        Self { connection: ConnectionOptions::default(), reconnect }
    }
}

/// The way to one address. Clones share it.
///
/// It connects with the first request and whenever the connection has ended. All requests share one attempt, which goes
/// on if one of them gives up. After a failed attempt every request fails at once, with the reason of that attempt, until
/// the back-off has passed: whoever wants to wait waits and asks again.
///
/// ```no_run
/// # use std::time::Duration;
/// # use thalweg_client::{Channel, ChannelOptions, Peer};
/// # use thalweg_sys::time::now;
/// # use thalweg_wire::messages::DescribeClusterRequest;
/// # async fn example() -> Result<(), thalweg_client::Error> {
/// let channel = Channel::new(Peer::new("localhost", 9092), ChannelOptions::default());
/// let response = channel.send(&DescribeClusterRequest::default(), now() + Duration::from_secs(5)).await?;
/// println!("cluster {}", response.cluster_id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    peer: Peer,
    options: ChannelOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Attempts that failed since the last one that did not.
    failures: u32,
    /// No attempt is made before.
    not_before: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was tried yet.
    New,
    /// An attempt runs; the receiver sees the value change when it has ended.
    Connecting(watch::Receiver<()>),
    /// There is a connection, which may have ended by itself.
    Up(Connection),
    /// The last attempt failed.
    Down(Error),
}

/// What to do for a request.
enum Step {
    Take(Connection),
    Fail(Error),
    Wait(watch::Receiver<()>),
}

impl Channel {
    /// A channel to `peer`. Nothing is tried before the first request.
    #[must_use]
    pub fn new(peer: Peer, options: ChannelOptions) -> Self {
        let state = State { stage: Stage::New, failures: 0, not_before: now() };
        Self { shared: Arc::new(Shared { peer, options, state: Mutex::new(state) }) }
    }

    /// The address.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// Sends a request at the highest version that both sides have, and waits for the response.
    ///
    /// # Errors
    /// When there is no connection, or as [`Connection::send`].
    pub async fn send<Q: Request>(&self, request: &Q, deadline: Instant) -> Result<Q::Response, Error> {
        self.connection(deadline).await?.send(request, deadline).await
    }

    /// The connection, which is made if there is none. Use it where a request depends on the negotiated version, or where
    /// several have to reach the node in order.
    ///
    /// # Errors
    /// When the node cannot be reached by `deadline`, or could not be a moment ago.
    pub async fn connection(&self, deadline: Instant) -> Result<Connection, Error> {
        loop {
            match self.step() {
                Step::Take(connection) => return Ok(connection),
                Step::Fail(error) => return Err(error),
                Step::Wait(mut done) => {
                    if timeout_at(deadline, done.changed()).await.is_err() {
                        let source = Arc::new(std::io::ErrorKind::TimedOut.into());
                        return Err(Error::Connect { peer: self.peer().clone(), source });
                    }
                }
            }
        }
    }

    /// The connection, if there is one that stands.
    #[must_use]
    pub fn standing(&self) -> Option<Connection> {
        match &self.shared.state.lock().stage {
            Stage::Up(connection) if connection.ended().is_none() && !connection.is_expiring() => {
                Some(connection.clone())
            }
            _ => None,
        }
    }

    fn step(&self) -> Step {
        let mut state = self.shared.state.lock();
        let at = now();
        match &state.stage {
            // An attempt whose task was ended with its runtime is nobody's any more.
            Stage::Connecting(done) if done.has_changed().is_err() => {}
            Stage::Connecting(done) => return Step::Wait(done.clone()),
            Stage::Up(connection) => match connection.ended() {
                None if connection.is_expiring() => {}
                None => return Step::Take(connection.clone()),
                Some(error) if at < state.not_before => return Step::Fail(error),
                Some(_) => {}
            },
            Stage::Down(error) if at < state.not_before => return Step::Fail(error.clone()),
            Stage::Down(_) | Stage::New => {}
        }
        let (finish, done) = watch::channel(());
        state.stage = Stage::Connecting(done.clone());
        thalweg_sys::task::spawn(attempt(Arc::clone(&self.shared), finish));
        Step::Wait(done)
    }
}

/// Makes one attempt, and wakes whoever waits for it.
async fn attempt(shared: Arc<Shared>, finish: watch::Sender<()>) {
    let options = &shared.options;
    let deadline = now() + options.connection.setup_timeout;
    let result = Connection::open(shared.peer.clone(), &options.connection, deadline).await;
    let random = thalweg_sys::random::u64();
    let mut state = shared.state.lock();
    match result {
        Ok(connection) => {
            state.failures = 0;
            // A node that closes every connection at once is not asked in a tight loop.
            state.not_before = now() + options.reconnect.after(1, random);
            state.stage = Stage::Up(connection);
        }
        Err(error) => {
            tracing::debug!(peer = %shared.peer, %error, "connecting failed");
            state.failures = state.failures.saturating_add(1);
            state.not_before = now() + options.reconnect.after(state.failures, random);
            state.stage = Stage::Down(error);
        }
    }
    drop(state);
    finish.send_replace(());
}

#[cfg(test)]
mod tests;
