//! Three nodes, each a broker and a controller: they elect a leader, and decide as one cluster.

use m::create_topics_request::CreatableTopic;
use m::describe_quorum_request::{PartitionData, TopicData};
use thalweg_base::{Timestamp, Uuid};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, format};
use thalweg_broker::{Loggers, Node};
use thalweg_sys::net::{SocketOptions, TcpStream, listen};
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::exchange;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// How three nodes know who votes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum VotersBy {
    /// `controller.quorum.voters`
    Config,
    /// `--initial-controllers`: they may change.
    Format,
}

/// Three nodes.
struct ThreeNodes {
    nodes: Vec<Option<Node>>,
    configs: Vec<NodeConfig>,
    _dir: tempfile::TempDir,
}

/// The id of the metadata directory of a node that was a voter when it was formatted.
fn directory(id: u8) -> Uuid {
    Uuid([id; 16])
}

/// A port that nobody listens at, as far as the kernel knows.
async fn free_port() -> u16 {
    let address = "127.0.0.1:0".parse().expect("an address");
    let listener = listen(address, SocketOptions { backlog: 1, receive_buffer: None, send_buffer: None })
        .await
        .expect("a listener");
    listener.local_addr().expect("its address").port()
}

async fn start(config: NodeConfig) -> Node {
    Node::start_with(config, Loggers::new(|_| {})).await.expect("a node")
}

impl ThreeNodes {
    async fn start() -> Self {
        Self::start_with(VotersBy::Config).await
    }

    async fn start_with(by: VotersBy) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ports = [free_port().await, free_port().await, free_port().await];
        let voters: Vec<String> = (1..).zip(ports).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let named = voters.iter().zip(1..).map(|(voter, id)| format!("{voter}:{}", directory(id)));
        let (found_by, first) = match by {
            VotersBy::Config => (("controller.quorum.voters", voters.join(",")), FirstVoters::Unsaid),
            VotersBy::Format => {
                let servers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
                let named: Vec<String> = named.collect();
                (("controller.quorum.bootstrap.servers", servers.join(",")), FirstVoters::Named(named.join(",")))
            }
        };
        let config = |(id, port): (i32, u16)| {
            let entries = [
                ("process.roles", "broker,controller".to_owned()),
                ("node.id", id.to_string()),
                ("listeners", format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}")),
                ("controller.listener.names", "CONTROLLER".to_owned()),
                found_by.clone(),
                ("log.dirs", dir.path().join(id.to_string()).display().to_string()),
            ];
            let entries = entries.map(|(name, text)| (name.to_owned(), text));
            NodeConfig::from_properties(&entries, &[]).expect("a config").0
        };
        let configs: Vec<NodeConfig> = (1..).zip(ports).map(config).collect();
        for config in &configs {
            let request = FormatRequest::new(CLUSTER_ID, first.clone());
            format(config, &request, Timestamp(0), &mut Vec::new()).expect("formatted directories");
        }
        let [a, b, c] = [0, 1, 2].map(|at| start(configs[at].clone()));
        let (a, b, c) = tokio::join!(a, b, c);
        Self { nodes: vec![Some(a), Some(b), Some(c)], configs, _dir: dir }
    }

    async fn connect(&self, at: usize) -> TcpStream {
        let node = self.nodes[at].as_ref().expect("it runs");
        TcpStream::connect(&node.bootstrap_servers()).await.expect("a connection")
    }

    /// Creates a topic of three replicas, as a client of that node. Gives the error.
    async fn create(&self, at: usize, name: &str) -> ErrorCode {
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 3, replication_factor: 3, ..CreatableTopic::default() };
        let request =
            m::CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..m::CreateTopicsRequest::default() };
        let response = exchange(&mut self.connect(at).await, &request, 7).await;
        ErrorCode::from_code(response.topics[0].error_code)
    }

    /// How the quorum is, as that node's clients see it.
    async fn quorum(&self, at: usize) -> m::describe_quorum_response::PartitionData {
        let topic = TopicData { topic_name: "__cluster_metadata".into(), partitions: vec![PartitionData::default()] };
        let request = m::DescribeQuorumRequest { topics: vec![topic] };
        exchange(&mut self.connect(at).await, &request, 2).await.topics.remove(0).partitions.remove(0)
    }

    /// How many partitions of a topic a node knows.
    async fn partitions(&self, at: usize, name: &str) -> usize {
        let asked = m::metadata_request::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = m::MetadataRequest { topics: Some(vec![asked]), ..m::MetadataRequest::default() };
        exchange(&mut self.connect(at).await, &request, 12).await.topics[0].partitions.len()
    }

    async fn stop_one(&mut self, at: usize) {
        self.nodes[at].take().expect("it runs").stop().await;
    }

    async fn stop(mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.stop().await;
        }
    }
}

/// Waits until something is so.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_a_quorum_and_any_of_them_takes_what_the_controller_decides() {
    let cluster = ThreeNodes::start().await;
    for at in 0..3 {
        assert_eq!(cluster.create(at, &format!("t{at}")).await, ErrorCode::None, "node {at} forwards or decides");
        assert_eq!(cluster.create(at, "t0").await, ErrorCode::TopicAlreadyExists);
    }
    for at in 0..3 {
        eventually("every node knows every topic", async || cluster.partitions(at, "t2").await == 3).await;
        let quorum = cluster.quorum(at).await;
        assert_eq!(quorum.error_code, 0, "node {at} asks the leader");
        let voters: Vec<i32> = quorum.current_voters.iter().map(|voter| voter.replica_id).collect();
        assert_eq!((voters, quorum.observers.len()), (vec![1, 2, 3], 0));
        assert!(quorum.current_voters.iter().all(|voter| voter.log_end_offset >= 0), "{quorum:?}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_controller_takes_over_and_the_old_one_comes_back_as_a_follower() {
    let mut cluster = ThreeNodes::start().await;
    assert_eq!(cluster.create(0, "before").await, ErrorCode::None);
    let led = cluster.quorum(0).await;
    let old = usize::try_from(led.leader_id - 1).expect("a node");
    cluster.stop_one(old).await;
    let other = (old + 1) % 3;
    let leads = async || {
        let quorum = cluster.quorum(other).await;
        quorum.error_code == 0 && quorum.leader_id != led.leader_id
    };
    eventually("another node leads", leads).await;
    assert!(cluster.quorum(other).await.leader_epoch > led.leader_epoch);
    // As in Kafka, a broker that has stopped is given replicas: it is registered, and may come back.
    assert_eq!(cluster.create(other, "during").await, ErrorCode::None);
    cluster.nodes[old] = Some(start(cluster.configs[old].clone()).await);
    eventually("it follows", async || cluster.partitions(old, "during").await == 3).await;
    assert_eq!(cluster.create(old, "after").await, ErrorCode::None);
    assert_ne!(cluster.quorum(old).await.leader_id, led.leader_id);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_removed_says_so_before_it_steps_down() {
    let cluster = ThreeNodes::start_with(VotersBy::Format).await;
    // What was decided in an epoch may change once something of it is committed.
    assert_eq!(cluster.create(0, "before").await, ErrorCode::None);
    let led = cluster.quorum(0).await.leader_id;
    let request = m::RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: led,
        voter_directory_id: directory(u8::try_from(led).expect("a node")),
    };
    let asked = usize::try_from(led % 3).expect("a node");
    let removed = exchange(&mut cluster.connect(asked).await, &request, 0).await;
    assert_eq!(ErrorCode::from_code(removed.error_code), ErrorCode::None, "{:?}", removed.error_message);
    let others = async || {
        let quorum = cluster.quorum(asked).await;
        let voters: Vec<i32> = quorum.current_voters.iter().map(|voter| voter.replica_id).collect();
        quorum.error_code == 0 && quorum.leader_id != led && voters.len() == 2 && !voters.contains(&led)
    };
    eventually("another node leads the two that are left", others).await;
    cluster.stop().await;
}
