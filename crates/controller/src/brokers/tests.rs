use thalweg_base::{Moment, NodeId, Uuid};
use thalweg_metadata::MetadataVersion;
use thalweg_metadata::image::LeaderRecoveryState;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{BrokerHeartbeatRequest, ControllerRegistrationRequest};

use crate::tests::cluster::{Cluster, SESSION, SESSION_MS, all_short, directory_of};
use crate::{SessionTimes, Sessions};

fn refused<T>(result: Result<T, crate::Refusal>) -> String {
    result.map(|_| ()).map_err(|refusal| refusal.to_string()).expect_err("it is refused")
}

#[test]
fn a_broker_registers_fenced_and_is_unfenced_when_it_has_caught_up() {
    let mut cluster = Cluster::of(0);
    let request = cluster.registration(1, -1);
    let offset = cluster.next_offset;
    let epoch = cluster.register(&request).expect("the broker is new");
    assert_eq!(epoch.0, offset.0, "the epoch is the offset of the registration");
    assert!(cluster.image.cluster().broker(NodeId(1)).is_some_and(|broker| broker.fenced));

    let behind = BrokerHeartbeatRequest { current_metadata_offset: offset.0 - 1, ..cluster.alive(1) };
    let response = cluster.heartbeat(&behind).expect("it is registered");
    assert_eq!((response.is_caught_up, response.is_fenced), (false, true));
    let there = BrokerHeartbeatRequest { current_metadata_offset: offset.0, ..cluster.alive(1) };
    let response = cluster.heartbeat(&there).expect("it is registered");
    assert_eq!((response.is_caught_up, response.is_fenced), (true, false));
    assert!(cluster.image.cluster().is_active(NodeId(1)));
    let wants_fence = BrokerHeartbeatRequest { want_fence: true, ..cluster.alive(1) };
    assert!(cluster.heartbeat(&wants_fence).expect("it is registered").is_fenced);
}

#[test]
fn another_run_of_a_living_broker_is_refused() {
    let mut cluster = Cluster::of(1);
    let same = cluster.registration(1, -1);
    assert!(refused(cluster.register(&same)).starts_with("DUPLICATE_BROKER_REGISTRATION: Another broker is"));
    cluster.now = Moment(cluster.now.0 + SESSION_MS);
    assert!(cluster.register(&same).is_ok(), "its session is over");
}

#[test]
fn the_same_run_may_register_again_and_keeps_its_epoch() {
    let mut cluster = Cluster::of(0);
    let mut request = cluster.registration(1, -1);
    let epoch = cluster.register(&request).expect("the broker is new");
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    request.rack = Some("r".into());
    assert_eq!(cluster.register(&request), Ok(epoch));
    let broker = cluster.image.cluster().broker(NodeId(1)).expect("it is registered");
    assert_eq!((broker.fenced, broker.rack.as_deref()), (false, Some("r")));
}

#[test]
fn registrations_are_checked() {
    let mut cluster = Cluster::of(1);
    let good = cluster.registration(2, -1);
    let mut register = |change: &dyn Fn(&mut thalweg_wire::messages::BrokerRegistrationRequest)| {
        let mut request = good.clone();
        change(&mut request);
        refused(cluster.register(&request))
    };
    assert_eq!(
        register(&|r| r.cluster_id = "other".into()),
        "INCONSISTENT_CLUSTER_ID: Expected cluster ID a-cluster, but got cluster ID other"
    );
    assert_eq!(register(&|r| r.log_dirs.clear()), "INVALID_REGISTRATION: No directories specified in request");
    assert_eq!(register(&|r| r.log_dirs = vec![Uuid::ONE]), "INVALID_REGISTRATION: Reserved directory ID in request");
    assert_eq!(
        register(&|r| r.log_dirs = vec![directory_of(2); 2]),
        "INVALID_REGISTRATION: Duplicate directory ID in request"
    );
    assert_eq!(
        register(&|r| r.log_dirs = vec![directory_of(1)]),
        format!("INVALID_REGISTRATION: Broker 1 is already registered with directory {}", directory_of(1))
    );
    assert_eq!(
        register(&|r| r.features.retain(|f| &*f.name != "metadata.version")),
        "INVALID_REGISTRATION: Request features do not contain 'metadata.version'"
    );
    assert_eq!(
        register(&|r| r.features.retain(|f| &*f.name != "group.version")),
        "UNSUPPORTED_VERSION: Unable to register because the broker does not support finalized version 1 of \
         group.version. The broker wants a version between 0 and 0, inclusive."
    );
}

#[test]
fn the_only_broker_stops_cleanly_and_leads_again() {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1]]);
    let stop = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.alive(1) };
    let first = cluster.heartbeat(&stop).expect("it is registered");
    assert_eq!((first.is_fenced, first.should_shut_down), (false, false), "it hands over first");
    assert_eq!(cluster.state("a", 0), "-1@1 isr [] elr [1] last [1]");
    let last = cluster.heartbeat(&stop).expect("it is registered");
    assert_eq!((last.is_fenced, last.should_shut_down), (true, true));

    let epoch = cluster.alive(1).broker_epoch;
    let request = cluster.registration(1, epoch);
    cluster.register(&request).expect("the old run has ended");
    assert_eq!(cluster.state("a", 0), "-1@1 isr [] elr [1] last [1]", "a clean stop keeps it eligible");
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    assert_eq!(cluster.state("a", 0), "1@2 isr [1] elr [] last []");
}

#[test]
fn who_was_alone_and_lost_nothing_leads_on_in_the_same_epoch() {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1]]);
    let before = cluster.state("a", 0);
    cluster.sessions.end(NodeId(1));
    let request = cluster.registration(1, cluster.alive(1).broker_epoch);
    cluster.register(&request).expect("the old run has ended");
    assert_eq!(cluster.state("a", 0), before, "nothing is written about its partitions");
    assert!(!cluster.heartbeat(&cluster.alive(1)).expect("it is registered").is_fenced);
    assert_eq!(cluster.state("a", 0), before);
}

#[test]
fn a_leader_that_was_alone_and_does_not_come_back_leads_no_more() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    cluster.fence(2);
    assert_eq!(cluster.state("a", 0), "1@0 isr [1] elr [] last []");
    cluster.sessions.end(NodeId(1));
    let request = cluster.registration(1, cluster.alive(1).broker_epoch);
    cluster.register(&request).expect("the old run has ended");
    assert_eq!(cluster.state("a", 0), "1@0 isr [1] elr [] last []", "it is registered and fenced still");
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    assert!(cluster.state("a", 0).starts_with("-1@1"), "{}", cluster.state("a", 0));
}

#[test]
fn a_broker_stops_when_the_others_have_read_that_it_leads_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    let stop = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.alive(1) };
    let behind = cluster.alive(2);
    cluster.heartbeat(&behind).expect("it is registered");
    assert!(!cluster.heartbeat(&stop).expect("it is registered").should_shut_down);
    assert_eq!(cluster.state("a", 0), "2@1 isr [2] elr [] last []");
    assert!(!cluster.heartbeat(&stop).expect("it is registered").should_shut_down, "2 may still tell clients of it");
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    assert!(cluster.heartbeat(&stop).expect("it is registered").should_shut_down);
}

#[test]
fn after_a_crash_the_only_broker_leads_again_and_recovers() {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1]]);
    cluster.now = Moment(cluster.now.0 + SESSION_MS);
    let request = cluster.registration(1, -1);
    cluster.register(&request).expect("the session is over");
    assert_eq!(cluster.state("a", 0), "-1@1 isr [] elr [] last [1]", "what it had not flushed is lost");
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    assert_eq!(cluster.state("a", 0), "1@2 isr [1] elr [] last []");
    assert_eq!(cluster.partition("a", 0).leader_recovery_state, LeaderRecoveryState::Recovering);
}

#[test]
fn fencing_moves_leaders_and_shrinks_isrs() {
    let mut cluster = Cluster::of(3);
    cluster.topic("a", &[&[1, 2, 3], &[2, 1, 3]]);
    cluster.topic("b", &[&[1]]);
    cluster.fence(1);
    assert_eq!(cluster.state("a", 0), "2@1 isr [2, 3] elr [] last []");
    assert_eq!(cluster.state("a", 1), "2@0 isr [2, 3] elr [] last []", "the leader stays, so its epoch does");
    assert_eq!(cluster.state("b", 0), "-1@1 isr [] elr [1] last [1]");
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    assert_eq!(cluster.state("a", 0), "2@1 isr [2, 3] elr [] last []", "the leader lets it in again");
    assert_eq!(cluster.state("b", 0), "1@2 isr [1] elr [] last []");
}

#[test]
fn without_elrs_the_last_replica_stays_in_the_isr() {
    let mut cluster = Cluster::at_version(MetadataVersion(25), 1);
    cluster.start(1);
    cluster.topic("a", &[&[1]]);
    cluster.fence(1);
    assert_eq!(cluster.state("a", 0), "-1@1 isr [1] elr [] last []");
    cluster.heartbeat(&cluster.alive(1)).expect("it is registered");
    assert_eq!(cluster.state("a", 0), "1@2 isr [1] elr [] last []");
}

#[test]
fn who_is_silent_for_a_session_expires() {
    let mut cluster = Cluster::of(2);
    let start = cluster.now;
    cluster.now = Moment(start.0 + 5000);
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    assert_eq!(cluster.sessions.next_deadline(), Some(Moment(start.0 + SESSION_MS)));
    let expired = |at: i64| cluster.sessions.expired(Moment(start.0 + at));
    assert_eq!(expired(SESSION_MS - 1), []);
    assert_eq!(expired(SESSION_MS), [NodeId(1)]);
    assert_eq!(expired(SESSION_MS + 5000), [NodeId(1), NodeId(2)]);
    let later = Sessions::begin(SessionTimes { timeout: SESSION, grace: None }, &cluster.image, Moment(0));
    assert_eq!(later.next_deadline(), Some(Moment(SESSION_MS)), "a new controller gives everybody a session");
}

#[test]
fn replicas_in_a_failed_directory_leave_their_isrs() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    let other = Uuid([3; 16]);
    let mut request = cluster.registration(3, -1);
    request.log_dirs.push(other);
    cluster.register(&request).expect("the broker is new");
    let heartbeat = BrokerHeartbeatRequest { offline_log_dirs: vec![other], ..cluster.alive(3) };
    cluster.heartbeat(&heartbeat).expect("it is registered");
    assert_eq!(cluster.image.cluster().broker(NodeId(3)).expect("it is there").directories, [directory_of(3)]);
    let heartbeat = BrokerHeartbeatRequest { offline_log_dirs: vec![directory_of(1)], ..cluster.alive(1) };
    let decided = cluster.controller.heartbeat(&cluster.image, &cluster.sessions, &heartbeat).expect("it is there");
    assert_eq!(decided.records[0].name(), "PartitionChangeRecord");
    cluster.apply(decided);
    assert_eq!(cluster.state("a", 0), "2@1 isr [2] elr [] last []");
}

#[test]
fn cordoned_directories_are_noted_once() {
    let mut cluster = Cluster::of(1);
    let cordon = |ids: &[Uuid]| BrokerHeartbeatRequest {
        cordoned_log_dirs: Some(ids.to_vec()),
        ..BrokerHeartbeatRequest::default()
    };
    let records = |cluster: &mut Cluster, ids: &[Uuid]| {
        let request = BrokerHeartbeatRequest { cordoned_log_dirs: cordon(ids).cordoned_log_dirs, ..cluster.alive(1) };
        let decided = cluster.controller.heartbeat(&cluster.image, &cluster.sessions, &request).expect("it is there");
        let count = decided.records.len();
        cluster.apply(decided);
        count
    };
    assert_eq!(records(&mut cluster, &[]), 1);
    assert_eq!(records(&mut cluster, &[]), 0);
    assert_eq!(records(&mut cluster, &[directory_of(1)]), 1);
    let result = cluster.create_one(crate::tests::cluster::counted("a", 1, 1));
    assert_eq!(result.error_code, ErrorCode::InvalidReplicationFactor.code());
}

#[test]
fn an_unregistered_broker_leads_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    let decided = cluster.controller.unregister_broker(&cluster.image, NodeId(1)).expect("it is registered");
    assert_eq!(all_short(&decided.records), ["PartitionChange", "UnregisterBroker"]);
    cluster.apply(decided);
    assert_eq!(cluster.state("a", 0), "2@1 isr [2] elr [] last []");
    assert_eq!(
        refused(cluster.controller.unregister_broker(&cluster.image, NodeId(1))),
        "BROKER_ID_NOT_REGISTERED: Broker ID 1 is not currently registered"
    );
}

#[test]
fn a_controller_registers() {
    let mut cluster = Cluster::of(0);
    let request = ControllerRegistrationRequest {
        controller_id: 7,
        incarnation_id: Uuid([1; 16]),
        ..ControllerRegistrationRequest::default()
    };
    let decided = cluster.controller.register_controller(&cluster.image, &request).expect("4.3 knows them");
    cluster.apply(decided);
    assert!(cluster.image.cluster().controller(NodeId(7)).is_some());
}
