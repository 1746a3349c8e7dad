use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_sys::closing::Close;
use thalweg_sys::net::{ConnectOptions, SocketOptions, TcpStream, connect};
use thalweg_sys::time::timeout;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;
use crate::kind::ListenerType;
use crate::limits::{ConnectionLimits, NO_RATE, RateWindows, SeatLimits};
use crate::listener::Listener;

/// A service whose requests wait until the connection ends, holding as many bytes as the test says.
struct Waits {
    bytes: usize,
    taken: AtomicUsize,
    ended: Notify,
}

impl Service for Waits {
    fn connect(self: Arc<Self>, _: &ListenerName, _: &Arc<Origin>) -> Result<Box<dyn Session>, String> {
        Ok(Box::new(WaitingSession(self)))
    }
}

struct WaitingSession(Arc<Waits>);

impl Session for WaitingSession {
    fn handle(&mut self, _: Bytes) -> Reply {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        Reply::Parked(Box::pin(pending()), self.0.bytes)
    }

    fn request_bytes_max(&self) -> Option<usize> {
        None
    }
}

impl Drop for WaitingSession {
    fn drop(&mut self) {
        self.0.ended.notify_one();
    }
}

struct Node<S = Waits> {
    service: Arc<S>,
    network: Arc<Network>,
    address: SocketAddr,
    _close: Close,
}

impl Node {
    /// A listener whose requests wait and hold `bytes` each; a quarter of `memory` is for those that wait.
    async fn start(bytes: usize, memory: usize, idle_max: Duration) -> Self {
        let service = Arc::new(Waits { bytes, taken: AtomicUsize::new(0), ended: Notify::new() });
        Self::start_with(service, memory, idle_max).await
    }

    /// How many requests were taken once nothing happens any more.
    async fn taken(&self) -> usize {
        loop {
            let before = self.service.taken.load(Ordering::Relaxed);
            let _ = timeout(Duration::from_millis(200), pending::<()>()).await;
            let taken = self.service.taken.load(Ordering::Relaxed);
            if before == taken && taken > 0 {
                return taken;
            }
        }
    }
}

impl<S: Service> Node<S> {
    async fn start_with(service: Arc<S>, memory: usize, idle_max: Duration) -> Self {
        let options = SocketOptions { backlog: 10, receive_buffer: None, send_buffer: None };
        let name = ListenerName { name: "CLIENTS".into(), kind: ListenerType::Broker };
        let listener = Listener::bind(name, ("127.0.0.1", 0), options, None).await.expect("a free port");
        let seats = SeatLimits {
            connections_max: usize::MAX,
            per_ip_max: usize::MAX,
            per_ip_overrides: HashMap::new(),
            creation_rate: NO_RATE,
            ip_rates: std::collections::BTreeMap::new(),
            ip_rate_default: None,
            listeners: std::collections::BTreeMap::new(),
            protected: Vec::new(),
            rate_windows: RateWindows::default(),
        };
        let network = Network::new(ConnectionLimits::new(1 << 20, memory, idle_max, 100), seats);
        let (address, close) = (listener.local, Close::new());
        task::spawn(listener.run(Arc::clone(&network), Arc::clone(&service) as Arc<dyn Service>, close.closing()));
        Self { service, network, address, _close: close }
    }

    async fn connect(&self) -> TcpStream {
        let deadline = now() + Duration::from_secs(60);
        connect(self.address, ConnectOptions::default(), deadline).await.expect("it listens")
    }
}

/// So many requests, empty but for what every header begins with.
fn requests(count: usize) -> Vec<u8> {
    [0, 0, 0, 4, 0, 1, 0, 4].repeat(count)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn waiting_requests_hold_a_share_of_memory_and_each_connection_may_have_one() {
    let node = Node::start(1 << 20, 8 << 20, HOUR).await;
    let mut first = node.connect().await;
    first.write_all(&requests(100)).await.expect("it is read");
    // One fits into the two megabytes, the next one goes without.
    assert_eq!(node.taken().await, 2);
    let mut second = node.connect().await;
    second.write_all(&requests(100)).await.expect("it is read");
    assert_eq!(node.taken().await, 3);
    drop(first);
    node.service.ended.notified().await;
    assert_eq!(node.network.limits.waiting_memory.left(), (2 << 20, 2 << 20));
}

#[tokio::test]
async fn one_connection_may_not_have_all_the_memory_of_those_that_wait() {
    let node = Node::start(1 << 20, 1 << 30, HOUR).await;
    let mut client = node.connect().await;
    client.write_all(&requests(100)).await.expect("it is read");
    assert_eq!(node.taken().await, WAITING_BYTES_MAX >> 20);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_is_noticed_though_its_requests_are_not_read_any_more() {
    let node = Node::start(0, 1 << 30, HOUR).await;
    let mut client = node.connect().await;
    client.write_all(&requests(2 * IN_FLIGHT_MAX)).await.expect("it is read");
    assert_eq!(node.taken().await, IN_FLIGHT_MAX);
    drop(client);
    assert!(timeout(3 * PEER_CHECK, node.service.ended.notified()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_though_a_request_of_it_waits() {
    let node = Node::start(0, 1 << 30, Duration::from_secs(10)).await;
    let mut client = node.connect().await;
    client.write_all(&requests(1)).await.expect("it is read");
    let mut end = [0; 1];
    let read = timeout(Duration::from_secs(20), client.read(&mut end)).await;
    assert_eq!(read.expect("it is closed in time").expect("it is closed in order"), 0);
    assert_eq!(node.network.listeners()[0].idle_closed, 1);
}

/// A service whose clients are throttled after every request.
struct Throttles(Duration);

struct ThrottledSession(Duration, Arc<Origin>);

impl Service for Throttles {
    fn connect(self: Arc<Self>, _: &ListenerName, origin: &Arc<Origin>) -> Result<Box<dyn Session>, String> {
        Ok(Box::new(ThrottledSession(self.0, Arc::clone(origin))))
    }
}

impl Session for ThrottledSession {
    fn handle(&mut self, _: Bytes) -> Reply {
        self.1.mute(self.0);
        Reply::Now(Frame::from(vec![Bytes::from_static(b"answered")]))
    }

    fn request_bytes_max(&self) -> Option<usize> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_client_is_answered_at_once_and_read_again_when_its_time_is_over() {
    const THROTTLE: Duration = Duration::from_secs(7);
    let service = Arc::new(Throttles(THROTTLE));
    let node = Node::start_with(service, 1 << 30, HOUR).await;
    let mut client = node.connect().await;
    let mut other = node.connect().await;
    let begun = now();
    client.write_all(&requests(3)).await.expect("it is read");
    let mut answer = [0; 8];
    for answers in 0..3 {
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(begun.elapsed().as_secs(), (THROTTLE * answers).as_secs());
        if answers == 0 {
            other.write_all(&requests(1)).await.expect("it is read");
            other.read_exact(&mut answer).await.expect("an answer: it is another's connection that is muted");
            assert_eq!(begun.elapsed().as_secs(), 0);
        }
    }
}
