//! A node and a connection to it.

use bytes::{BufMut as _, BytesMut};
use thalweg_base::{Timestamp, Uuid};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, format};
use thalweg_broker::{Loggers, Node};
use thalweg_sys::net::TcpStream;
use thalweg_wire::messages as m;
use thalweg_wire::{Codec as _, Reader, Request, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A node with one client.
pub(crate) struct Cluster {
    node: Node,
    stream: TcpStream,
    controller: TcpStream,
    dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        Self::start_in(dir, &[("log.dirs", &log_dirs)]).await
    }

    /// A node that can be watched over HTTP.
    pub(crate) async fn watched() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        Self::start_in(dir, &[("log.dirs", &log_dirs), ("thalweg.http.listen", "127.0.0.1:0")]).await
    }

    /// Where the node is watched.
    pub(crate) fn http_address(&self) -> std::net::SocketAddr {
        self.node.http_address().expect("a node that is watched")
    }

    /// Deletes a topic.
    pub(crate) async fn delete(&mut self, name: &str) {
        use m::delete_topics_request::DeleteTopicState;
        let topic = DeleteTopicState { name: Some(name.into()), ..DeleteTopicState::default() };
        let request =
            m::DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..m::DeleteTopicsRequest::default() };
        assert_eq!(self.ask(&request, 6).await.responses[0].error_code, 0);
    }

    /// A node with these properties, whose directories are in `dir`.
    pub(crate) async fn start_in(dir: tempfile::TempDir, properties: &[(&str, &str)]) -> Self {
        let node = Node::start_with(config(properties), Loggers::new(|_| {})).await.expect("a node");
        let stream = TcpStream::connect(&node.bootstrap_servers()).await.expect("a connection");
        let controller = TcpStream::connect(&node.bootstrap_controllers()).await.expect("a connection");
        Self { node, stream, controller, dir }
    }

    /// A node whose metadata has an older version.
    pub(crate) async fn of_version(release: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        let properties = [("log.dirs", &*log_dirs)];
        let request = FormatRequest {
            release_version: Some(release.to_owned()),
            ..FormatRequest::new("4L6g3nShT-eMCtK--X86sw", FirstVoters::Standalone)
        };
        format(&config(&properties), &request, Timestamp(0), &mut Vec::new()).expect("formatted directories");
        Self::start_in(dir, &properties).await
    }

    /// The directory that the node's directories are in.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Completes when the node cannot go on.
    pub(crate) async fn failed(&mut self) -> String {
        self.node.failed().await
    }

    /// Why a node with these properties does not start.
    pub(crate) async fn refused(properties: &[(&str, &str)]) -> String {
        let refused = Node::start_with(config(properties), Loggers::new(|_| {})).await.err().expect("a refusal");
        refused.to_string()
    }

    /// Stops the node, and keeps its directories.
    pub(crate) async fn stop_only(self) -> tempfile::TempDir {
        drop((self.stream, self.controller));
        self.node.stop().await;
        self.dir
    }

    pub(crate) async fn stop(self) {
        self.stop_only().await;
    }

    /// One more connection of a client.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.node.bootstrap_servers()).await.expect("a connection")
    }

    /// Asks as a client, and gives the answer.
    pub(crate) async fn ask<Q: Request>(&mut self, request: &Q, version: i16) -> Q::Response {
        exchange(&mut self.stream, request, version).await
    }

    /// Asks the controller directly.
    pub(crate) async fn ask_controller<Q: Request>(&mut self, request: &Q, version: i16) -> Q::Response {
        exchange(&mut self.controller, request, version).await
    }

    /// Creates a topic with one partition; gives its id.
    pub(crate) async fn create(&mut self, name: &str, configs: &[(&str, &str)]) -> Uuid {
        use m::create_topics_request::{CreatableTopic, CreatableTopicConfig};
        let config =
            |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = m::CreateTopicsRequest { topics: vec![topic], ..m::CreateTopicsRequest::default() };
        let response = self.ask(&request, 7).await;
        assert_eq!(response.topics[0].error_code, 0);
        response.topics[0].topic_id
    }
}

/// A request as it goes over the wire.
pub(crate) fn frame_of<Q: Request>(request: &Q, version: i16) -> BytesMut {
    let header = m::RequestHeader {
        request_api_key: Q::API.code(),
        request_api_version: version,
        client_id: Some("test".into()),
        ..m::RequestHeader::default()
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, Q::API.request_header_version(version)).expect("a header");
    request.encode(&mut writer, version).expect("a request");
    let body = writer.into_bytes();
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(body.len()).expect("a short request"));
    frame.extend_from_slice(&body);
    frame
}

/// Asks, and gives the answer.
pub(crate) async fn exchange<Q: Request>(stream: &mut TcpStream, request: &Q, version: i16) -> Q::Response {
    stream.write_all(&frame_of(request, version)).await.expect("the node reads");
    let len = stream.read_i32().await.expect("an answer");
    let mut answer = vec![0; usize::try_from(len).expect("a length")];
    stream.read_exact(&mut answer).await.expect("a whole answer");
    let mut reader = Reader::new(answer.into());
    m::ResponseHeader::decode(&mut reader, Q::API.response_header_version(version)).expect("a header");
    Q::Response::decode(&mut reader, version).expect("a decodable answer")
}

fn config(properties: &[(&str, &str)]) -> NodeConfig {
    let listeners = ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0");
    let all = properties.iter().chain([&listeners]);
    let overrides: Vec<_> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("a config").0
}
