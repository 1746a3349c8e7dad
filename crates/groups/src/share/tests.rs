//! Stories of share groups, told through the shard.

use std::collections::BTreeMap;

use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::consumer::tests::{coordinator, create, kinds, topic};
use crate::request::{Answer, Request};
use crate::share::{Initialize, Partitions};
use crate::tests::testbed::Testbed;

type Beat = m::ShareGroupHeartbeatRequest;

fn join(member: &str, topics: &[&str]) -> Beat {
    let names = topics.iter().map(|topic| (*topic).into()).collect();
    Beat { group_id: "s".into(), member_id: member.into(), subscribed_topic_names: Some(names), ..Default::default() }
}

fn beat(member: &str, member_epoch: i32) -> Beat {
    Beat { group_id: "s".into(), member_id: member.into(), member_epoch, ..Default::default() }
}

fn send(bed: &mut Testbed, request: Beat) -> (m::ShareGroupHeartbeatResponse, Option<Initialize>) {
    match bed.call(1, Request::ShareGroupHeartbeat(request)) {
        Answer::ShareGroupHeartbeat(response, initialize) => (response, initialize),
        other => panic!("not a heartbeat's answer: {other:?}"),
    }
}

/// Sends a heartbeat that is let in: the member's epoch and, if the answer tells, what it fetches.
fn alive(bed: &mut Testbed, request: Beat) -> (i32, Option<BTreeMap<u64, Vec<i32>>>) {
    let (response, _) = send(bed, request);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let number = |id: Uuid| u128::from_be_bytes(id.0) as u64;
    let assigned = response.assignment.map(|assignment| {
        assignment.topic_partitions.into_iter().map(|topic| (number(topic.topic_id), topic.partitions)).collect()
    });
    (response.member_epoch, assigned)
}

fn refused(bed: &mut Testbed, request: Beat) -> ErrorCode {
    send(bed, request).0.error_code.into()
}

/// The share coordinator remembers what the group wants.
fn initialize(bed: &mut Testbed, initialize: &Initialize) {
    let (group, partitions) = ("s".into(), initialize.partitions());
    bed.call(0, Request::ShareStateInitialized { group, partitions, result: Ok(()) });
}

fn has(topics: &[(u64, &[i32])]) -> Option<BTreeMap<u64, Vec<i32>>> {
    Some(topics.iter().map(|(topic, partitions)| (*topic, partitions.to_vec())).collect())
}

#[test]
fn a_member_has_partitions_once_the_share_coordinator_knows_them() {
    let mut bed = coordinator(&[("t", 2)]);
    let (response, wanted) = send(&mut bed, join("a", &["t"]));
    assert_eq!((response.member_epoch, response.heartbeat_interval_ms), (2, 5_000));
    let wanted = wanted.expect("the partitions are new");
    let partitions = Partitions::from([(topic(1), [0, 1].into())]);
    assert_eq!((wanted.state_epoch, wanted.partitions()), (2, partitions));
    assert!(wanted.starts.values().all(|start| *start == -1), "the group's configuration says where");
    assert_eq!(kinds(&mut bed), [10, 11, 13, 12, 14, 15]);
    assert_eq!(send(&mut bed, beat("a", 2)).1, None, "it is under way");
    initialize(&mut bed, &wanted);
    assert_eq!(kinds(&mut bed), [15]);
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0, 1])])));
    assert_eq!(kinds(&mut bed), [11, 13, 12, 14]);
    assert_eq!(alive(&mut bed, beat("a", 3)), (3, None));
    assert_eq!(kinds(&mut bed), []);
    bed.fail_over();
    assert_eq!(alive(&mut bed, beat("a", 3)), (3, None), "another coordinator knows it");
}

#[test]
fn members_share_partitions_evenly_and_one_that_goes_leaves_its_own_to_the_others() {
    let mut bed = coordinator(&[("t", 2)]);
    let wanted = send(&mut bed, join("a", &["t"])).1.expect("the partitions are new");
    initialize(&mut bed, &wanted);
    bed.pass(1_000);
    alive(&mut bed, beat("a", 2));
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, join("b", &["t"])), (4, has(&[(1, &[1])])));
    assert_eq!(alive(&mut bed, beat("a", 3)), (4, has(&[(1, &[0])])));
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, join("c", &["t"])).1.map(|topics| topics[&1].len()), Some(1), "a partition has two");
    bed.pass(44_000);
    alive(&mut bed, beat("c", 5));
    bed.pass(1_000);
    alive(&mut bed, beat("c", 5));
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, join("c", &["t"])).1, has(&[(1, &[0, 1])]), "the others were silent for too long");
    send(&mut bed, beat("c", -1));
    let listed = bed.call(5, Request::ListGroups(m::ListGroupsRequest::default()));
    let Answer::ListGroups(groups) = listed else { panic!("not a list: {listed:?}") };
    assert_eq!((&*groups[0].group_state, &*groups[0].group_type), ("Empty", "share"));
}

#[test]
fn a_member_whose_leave_cannot_be_written_is_put_out_in_time() {
    let mut bed = coordinator(&[("t", 1)]);
    alive(&mut bed, join("a", &["t"]));
    bed.refuse_writes = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(refused(&mut bed, beat("a", -1)), ErrorCode::CoordinatorNotAvailable);
    bed.refuse_writes = None;
    bed.pass(46_000);
    assert_eq!(refused(&mut bed, beat("a", 2)), ErrorCode::UnknownMemberId);
}

#[test]
fn new_partitions_are_read_from_their_beginning() {
    let mut bed = coordinator(&[("t", 1)]);
    let wanted = send(&mut bed, join("a", &["t"])).1.expect("the partition is new");
    initialize(&mut bed, &wanted);
    bed.pass(1_000);
    alive(&mut bed, beat("a", 2));
    let mut image = bed.image.clone();
    crate::consumer::tests::grow(&mut image, 1, 1..2);
    create(&mut image, 2, "u", 1);
    bed.change(image);
    let wanted = send(&mut bed, beat("a", 3)).1.expect("a partition is new");
    assert_eq!(wanted.starts, BTreeMap::from([((topic(1), 1), 0)]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut bed = coordinator(&[("t", 1)]);
    assert_eq!(refused(&mut bed, join("", &["t"])), ErrorCode::InvalidRequest);
    assert_eq!(refused(&mut bed, join("a", &[])), ErrorCode::InvalidRequest);
    assert_eq!(refused(&mut bed, beat("a", -2)), ErrorCode::InvalidRequest);
    assert_eq!(refused(&mut bed, beat("a", 1)), ErrorCode::GroupIdNotFound);
    alive(&mut bed, join("a", &["t"]));
    assert_eq!(refused(&mut bed, beat("b", 1)), ErrorCode::UnknownMemberId);
    assert_eq!(refused(&mut bed, beat("a", 7)), ErrorCode::FencedMemberEpoch);
    assert_eq!(refused(&mut bed, beat("b", -1)), ErrorCode::UnknownMemberId);
    let classic = Request::ConsumerGroupDescribe("s".into());
    let Answer::ConsumerGroupDescribe(described) = bed.call(0, classic) else { panic!("not a description") };
    assert_eq!(described.error_code, ErrorCode::GroupIdNotFound.code());
}

#[test]
fn a_group_without_members_may_begin_elsewhere_and_forget() {
    let mut bed = coordinator(&[("t", 1)]);
    let wanted = send(&mut bed, join("a", &["t"])).1.expect("the partition is new");
    initialize(&mut bed, &wanted);
    let alter = || Request::AlterShareOffsets { group: "s".into(), starts: BTreeMap::from([((topic(1), 0), 7)]) };
    assert_eq!(bed.call(0, alter()), Answer::ShareInitialize(Err(ErrorCode::NonEmptyGroup)));
    send(&mut bed, beat("a", -1));
    let Answer::ShareInitialize(Ok(altered)) = bed.call(0, alter()) else { panic!("it is empty") };
    assert!(altered.state_epoch > wanted.state_epoch, "older leaders are fenced");
    let delete = Request::DeleteShareOffsets { group: "s".into(), topics: vec![topic(1)] };
    let gone = Partitions::from([(topic(1), [0].into())]);
    assert_eq!(bed.call(0, delete), Answer::SharePartitions(Ok(gone)));
    assert_eq!(bed.call(0, Request::SharePartitions("s".into())), Answer::SharePartitions(Ok(Partitions::new())));
}
