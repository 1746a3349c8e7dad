use thalweg_wire::messages::elect_leaders_request::TopicPartitions;

use super::*;
use crate::tests::cluster::Cluster;

fn elect(cluster: &mut Cluster, election_type: i8, partitions: Option<&[i32]>) -> Vec<String> {
    let topic = |partitions: &[i32]| TopicPartitions { topic: "a".into(), partitions: partitions.to_vec() };
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions: partitions.map(|partitions| vec![topic(partitions)]),
        ..ElectLeadersRequest::default()
    };
    let decided = cluster.controller.elect_leaders(&cluster.image, &request).expect("there is such an election");
    let response = cluster.apply(decided);
    let results = response.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
    results
        .map(|r| {
            let code = ErrorCode::from_code(r.error_code).name();
            format!("{} {code} {}", r.partition_id, r.error_message.as_deref().unwrap_or("-"))
        })
        .collect()
}

#[test]
fn preferred_replicas_lead_again() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2], &[2, 1]]);
    cluster.fence(1);
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    assert_eq!(
        elect(&mut cluster, 0, Some(&[0, 1, 7])),
        [
            "0 PREFERRED_LEADER_NOT_AVAILABLE The preferred leader was not available.",
            "1 ELECTION_NOT_NEEDED Leader election not needed for topic partition.",
            "7 UNKNOWN_TOPIC_OR_PARTITION No such partition as a-7",
        ]
    );
    assert!(cluster.controller.balance_leaders(&cluster.image, 10).is_empty(), "it is not in the ISR yet");
    let topic = cluster.image_of("a").id;
    let grown = thalweg_wire::messages::PartitionChangeRecord {
        topic_id: topic,
        partition_id: 0,
        isr: Some(vec![1, 2]),
        ..Default::default()
    };
    cluster.replay(&[grown.into()]);
    assert_eq!(cluster.controller.balance_leaders(&cluster.image, 10).len(), 1);
    assert_eq!(cluster.controller.balance_leaders(&cluster.image, 0).len(), 0);
    assert_eq!(elect(&mut cluster, 0, None), ["0 NONE -"], "those that need none are left out");
    assert_eq!(cluster.state("a", 0), "1@2 isr [1, 2] elr [] last []");
}

#[test]
fn an_unclean_election_is_for_partitions_without_a_leader() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    cluster.fence(2);
    assert_eq!(
        elect(&mut cluster, 1, Some(&[0])),
        ["0 ELECTION_NOT_NEEDED Leader election not needed for topic partition."]
    );
    cluster.fence(1);
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    assert_eq!(cluster.state("a", 0), "-1@1 isr [] elr [1] last [1]", "2 may not lead by itself");
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), ["0 NONE -"]);
    assert_eq!(cluster.state("a", 0), "2@2 isr [2] elr [] last []");
}

#[test]
fn an_unclean_election_follows_when_it_is_allowed() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    cluster.topic("b", &[&[1, 2]]);
    cluster.fence(2);
    cluster.fence(1);
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    let leaderless = cluster.state("b", 0);
    assert_eq!(cluster.state("a", 0), leaderless);
    let allowed = thalweg_wire::messages::ConfigRecord {
        resource_type: 2,
        resource_name: "a".into(),
        name: "unclean.leader.election.enable".into(),
        value: Some("true".into()),
    };
    cluster.replay(&[allowed.into()]);
    assert!(cluster.controller.elect_unclean_leaders(&cluster.image, 0).is_empty(), "none is asked for");
    let records = cluster.controller.elect_unclean_leaders(&cluster.image, 10);
    cluster.replay(&records);
    assert_eq!(cluster.state("a", 0), "2@2 isr [2] elr [] last []");
    assert_eq!(cluster.state("b", 0), leaderless, "it is not allowed there");
    assert!(cluster.controller.elect_unclean_leaders(&cluster.image, 10).is_empty(), "there is a leader");
}

#[test]
fn there_are_two_kinds_of_elections() {
    let cluster = Cluster::of(1);
    let request = ElectLeadersRequest { election_type: 2, ..ElectLeadersRequest::default() };
    let refused = cluster.controller.elect_leaders(&cluster.image, &request).map_err(|error| error.to_string());
    assert_eq!(refused, Err("INVALID_REQUEST: Unknown election type 2".to_owned()));
}
