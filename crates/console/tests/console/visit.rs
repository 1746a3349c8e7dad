//! A node, its console, and a visitor who speaks HTTP.

use std::net::SocketAddr;

use serde_json::Value;
use thalweg_broker::config::NodeConfig;
use thalweg_broker::{Loggers, Node};
use thalweg_client::{Client, ClientConfig, Destination, Peer, Producer, ProducerConfig, ProducerRecord, Properties};
use thalweg_console::{Console, Settings, Writes};
use thalweg_http::Server;
use thalweg_sys::closing::Close;
use thalweg_sys::net::TcpStream;
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::{Duration, timeout};
use thalweg_wire::messages as m;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A node with a console.
pub(crate) struct Visit {
    node: Node,
    pub(crate) client: Client,
    pub(crate) properties: Properties,
    local: SocketAddr,
    close: Close,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The body of an answer that came in pieces: a line with the length of each before it, in hex.
    pub(crate) fn chunked(&self) -> String {
        assert_eq!(self.header("transfer-encoding"), Some("chunked"), "{}", self.head);
        let (mut rest, mut body) = (self.body.as_str(), String::new());
        while let Some((len, after)) = rest.split_once("\r\n") {
            let (piece, after) = after.split_at(usize::from_str_radix(len, 16).expect("a length"));
            body += piece;
            rest = after.strip_prefix("\r\n").expect("the piece's end");
        }
        body
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Visit {
    pub(crate) async fn start() -> Self {
        Self::start_with(|settings| settings.writes = Writes::ALL).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(&[], change).await
    }

    /// A node with these properties besides its own.
    pub(crate) async fn start_on(more: &[(&str, &str)], change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        let overrides = [
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
            ("log.dirs", &log_dirs),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let overrides: Vec<_> =
            overrides.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("a config").0;
        let node = Node::start_with(config, Loggers::new(|_| {})).await.expect("a node");
        let servers = node.bootstrap_servers();
        let properties = Properties::from_iter([("bootstrap.servers", servers.as_str())]);
        let server = Server::bind("127.0.0.1", 0).await.expect("a port");
        let local = server.local();
        let mut settings = Settings::new(properties.clone(), local.ip());
        change(&mut settings);
        let (close, console) = (Close::new(), Console::new(settings).expect("a console"));
        let serving = task::spawn(console.serve(server, close.closing()));
        let client = Client::new(ClientConfig::new(Peer::parse_list(&servers).expect("an address")));
        Self { node, client, properties, local, close, serving, _dir: dir }
    }

    pub(crate) async fn stop(self) {
        self.close.now();
        let _ = self.serving.await;
        self.node.stop().await;
    }

    pub(crate) async fn create(&self, name: &str, partitions: i32) {
        let topic = m::create_topics_request::CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = m::CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let response = self.client.send(Destination::Controller, &request).await.expect("an answer");
        assert_eq!(response.topics[0].error_code, 0);
    }

    /// Writes values to a partition, one after the other.
    pub(crate) async fn write(&self, topic: &str, partition: i32, values: &[&str]) {
        let config = ProducerConfig::from_properties(&self.properties).expect("a config");
        let producer = Producer::new(config);
        for value in values {
            let record = ProducerRecord::new(topic, (*value).to_owned()).with_key("key");
            let delivery = producer.send(ProducerRecord { partition: Some(partition), ..record }).await;
            delivery.expect("a place").wait().await.expect("a record");
        }
    }

    /// Asks for a page.
    pub(crate) async fn page(&self, path: &str) -> Got {
        self.ask("GET", path, &[("Accept", "text/html")], "").await
    }

    /// Asks for a document.
    pub(crate) async fn document(&self, path: &str) -> Value {
        let got = self.ask("GET", path, &[("Accept", "application/json")], "").await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")), "{}", got.body);
        got.json()
    }

    /// Sends a form.
    pub(crate) async fn form(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers: Vec<_> = headers.iter().copied().chain([kind]).collect();
        self.ask("POST", path, &headers, body).await
    }

    /// Asks for something that does not end.
    pub(crate) async fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.local).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.local);
        stream.write_all(request.as_bytes()).await.expect("a request");
        stream
    }

    /// Reads until a text has come.
    pub(crate) async fn read_until(&self, stream: &mut TcpStream, text: &str) -> String {
        let mut got = Vec::new();
        loop {
            let read = timeout(Duration::from_secs(60), stream.read_buf(&mut got)).await;
            let so_far = String::from_utf8_lossy(&got).into_owned();
            assert!(read.expect("in time").expect("bytes") > 0, "it has ended: {so_far}");
            if so_far.contains(text) {
                return so_far;
            }
        }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let mut request = format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.local);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.local).await.expect("a connection");
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Got { status, head: head.to_owned(), body: body.to_owned() }
    }
}
