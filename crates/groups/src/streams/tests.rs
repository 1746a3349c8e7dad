//! Stories of streams groups, told through the shard.

mod simulation;

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Offset;
use thalweg_metadata::image::ConfigResourceType;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::streams_group_heartbeat_request as q;

use crate::consumer::tests::{coordinator, create};
use crate::request::{Answer, Request};
use crate::tests::testbed::Testbed;

type Beat = m::StreamsGroupHeartbeatRequest;
type Told = m::StreamsGroupHeartbeatResponse;

/// How long a new group waits for more members.
const DELAY_MS: i64 = 3_000;

fn info(name: &str) -> q::TopicInfo {
    q::TopicInfo { name: name.into(), ..Default::default() }
}

/// Words are counted: one subtopology reads lines and writes words by key, the other counts them with a changelog.
fn word_count() -> q::Topology {
    let split = q::Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["lines".into()],
        repartition_sink_topics: vec!["app-counts-repartition".into()],
        ..Default::default()
    };
    let count = q::Subtopology {
        subtopology_id: "1".into(),
        repartition_source_topics: vec![info("app-counts-repartition")],
        state_changelog_topics: vec![info("app-counts-changelog")],
        ..Default::default()
    };
    q::Topology { epoch: 0, subtopologies: vec![split, count] }
}

/// One subtopology that reads a topic and has state.
fn one(source: &str) -> q::Topology {
    let only = q::Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec![source.into()],
        state_changelog_topics: vec![info("app-changelog")],
        ..Default::default()
    };
    q::Topology { epoch: 0, subtopologies: vec![only] }
}

fn join(member: &str, topology: q::Topology) -> Beat {
    Beat {
        group_id: "app".into(),
        member_id: member.into(),
        rebalance_timeout_ms: 10_000,
        topology: Some(topology),
        process_id: Some(format!("process-{member}").into()),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..Default::default()
    }
}

fn beat(member: &str, member_epoch: i32) -> Beat {
    Beat { group_id: "app".into(), member_id: member.into(), member_epoch, ..Default::default() }
}

/// A heartbeat of a member that runs these tasks of subtopology 0.
fn running(member: &str, member_epoch: i32, active: &[i32]) -> Beat {
    let tasks = q::TaskIds { subtopology_id: "0".into(), partitions: active.to_vec() };
    let active_tasks = if active.is_empty() { Vec::new() } else { vec![tasks] };
    Beat {
        active_tasks: Some(active_tasks),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..beat(member, member_epoch)
    }
}

fn send(bed: &mut Testbed, request: Beat) -> (Told, Vec<CreatableTopic>) {
    match bed.call(0, Request::StreamsGroupHeartbeat(request)) {
        Answer::StreamsGroupHeartbeat(response, missing) => (response, missing),
        other => panic!("not a heartbeat's answer: {other:?}"),
    }
}

fn alive(bed: &mut Testbed, request: Beat) -> Told {
    let (response, _) = send(bed, request);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    response
}

fn refused(bed: &mut Testbed, request: Beat) -> (ErrorCode, String) {
    let response = send(bed, request).0;
    (response.error_code.into(), response.error_message.unwrap_or_default().to_string())
}

fn statuses(response: &Told) -> Vec<i8> {
    response.status.iter().flatten().map(|status| status.status_code).collect()
}

type Shown = BTreeMap<ByteString, Vec<i32>>;

fn active(response: &Told) -> Option<Shown> {
    let tasks = response.active_tasks.as_ref()?;
    Some(tasks.iter().map(|of| (of.subtopology_id.clone(), of.partitions.clone())).collect())
}

fn standby(response: &Told) -> Option<Shown> {
    let tasks = response.standby_tasks.as_ref()?;
    Some(tasks.iter().map(|of| (of.subtopology_id.clone(), of.partitions.clone())).collect())
}

fn has(tasks: &[(&'static str, &[i32])]) -> Option<Shown> {
    Some(tasks.iter().map(|(id, of)| (ByteString::from_static(id), of.to_vec())).collect())
}

fn described(bed: &mut Testbed) -> m::streams_group_describe_response::DescribedGroup {
    match bed.call(0, Request::StreamsGroupDescribe("app".into())) {
        Answer::StreamsGroupDescribe(described) => described,
        other => panic!("not a description: {other:?}"),
    }
}

/// Creates the topics that an answer has named.
fn create_all(bed: &mut Testbed, missing: &[CreatableTopic]) {
    let mut image = bed.image.clone();
    for (number, topic) in (100..).zip(missing) {
        create(&mut image, number, &topic.name, topic.num_partitions);
    }
    bed.change(image);
}

/// The group is to have one standby copy of each task with state.
fn ask_for_standby_copies(bed: &mut Testbed) {
    let mut image = bed.image.clone();
    let config = m::ConfigRecord {
        resource_type: ConfigResourceType::Group.id(),
        resource_name: "app".into(),
        name: "streams.num.standby.replicas".into(),
        value: Some("1".into()),
    };
    image.replay(&config.into(), Offset(1_000));
    bed.change(image);
}

/// A group with one member that runs all tasks of [`one`] over `t`, which has 4 partitions.
fn settled() -> (Testbed, i32) {
    let mut bed = coordinator(&[("t", 4), ("app-changelog", 4)]);
    alive(&mut bed, join("a", one("t")));
    bed.pass(DELAY_MS);
    let told = alive(&mut bed, beat("a", 1));
    assert_eq!(active(&told), has(&[("0", &[0, 1, 2, 3])]));
    bed.pass(1_000);
    (bed, told.member_epoch)
}

#[test]
fn a_group_has_its_internal_topics_created_and_then_its_tasks() {
    let mut bed = coordinator(&[("lines", 3)]);
    let (told, missing) = send(&mut bed, join("a", word_count()));
    assert_eq!((told.member_epoch, statuses(&told)), (1, vec![5, 3]));
    let mut named: Vec<_> = missing.iter().map(|topic| (&*topic.name, topic.num_partitions)).collect();
    named.sort_unstable();
    assert_eq!(named, [("app-counts-changelog", 3), ("app-counts-repartition", 3)]);
    assert_eq!(described(&mut bed).group_state, "NotReady");
    create_all(&mut bed, &missing);
    let (told, missing) = send(&mut bed, beat("a", 1));
    assert_eq!((statuses(&told), missing), (vec![5], vec![]));
    bed.pass(DELAY_MS);
    let told = alive(&mut bed, beat("a", 1));
    assert_eq!(active(&told), has(&[("0", &[0, 1, 2]), ("1", &[0, 1, 2])]));
    assert_eq!((statuses(&told), &*described(&mut bed).group_state), (vec![], "Stable"));
}

#[test]
fn tasks_move_to_a_new_member_once_the_old_one_has_given_them_up() {
    let (mut bed, epoch) = settled();
    let told = alive(&mut bed, join("b", one("t")));
    assert_eq!(active(&told), has(&[]), "the other one still runs them");
    let told = alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    assert_eq!((told.member_epoch, active(&told)), (epoch, has(&[("0", &[0, 1])])));
    let told = alive(&mut bed, running("a", epoch, &[0, 1]));
    assert_eq!((told.member_epoch, active(&told)), (epoch + 1, None));
    let told = alive(&mut bed, running("b", epoch + 1, &[]));
    assert_eq!(active(&told), has(&[("0", &[2, 3])]));
    assert_eq!(described(&mut bed).group_state, "Stable");
    bed.fail_over();
    assert_eq!(described(&mut bed).group_state, "Stable");
    alive(&mut bed, running("b", epoch + 1, &[2, 3]));
}

#[test]
fn a_member_that_does_not_give_up_its_tasks_is_put_out() {
    let (mut bed, epoch) = settled();
    alive(&mut bed, join("b", one("t")));
    alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    bed.pass(10_000);
    assert_eq!(refused(&mut bed, beat("a", epoch)).0, ErrorCode::UnknownMemberId);
    let told = alive(&mut bed, running("b", epoch + 1, &[]));
    assert_eq!(active(&told), has(&[("0", &[0, 1, 2, 3])]));
}

#[test]
fn a_task_with_state_has_a_standby_copy_on_another_process() {
    let (mut bed, epoch) = settled();
    ask_for_standby_copies(&mut bed);
    alive(&mut bed, join("b", one("t")));
    alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    let told = alive(&mut bed, running("a", epoch, &[0, 1]));
    let told_b = alive(&mut bed, running("b", epoch + 1, &[]));
    assert_eq!((active(&told_b), standby(&told_b)), (has(&[("0", &[2, 3])]), has(&[("0", &[0, 1])])));
    let told_a = alive(&mut bed, running("a", told.member_epoch, &[0, 1]));
    let copies = standby(&told).or(standby(&told_a));
    assert_eq!(copies, has(&[("0", &[2, 3])]));
}

#[test]
fn a_member_whose_new_tasks_are_delayed_is_not_told_its_old_ones() {
    let (mut bed, epoch) = settled();
    alive(&mut bed, join("b", one("t")));
    alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    alive(&mut bed, running("a", epoch, &[0, 1]));
    alive(&mut bed, running("b", epoch + 1, &[]));
    ask_for_standby_copies(&mut bed);
    let anew = |member: &str| Beat { rebalance_timeout_ms: 1_000, ..running(member, epoch + 1, &[]) };
    let told = alive(&mut bed, anew("a"));
    assert_eq!((active(&told), statuses(&told)), (None, vec![5]), "the assignment interval is not over");
    bed.pass(1_000);
    let told = alive(&mut bed, anew("a"));
    assert_eq!((active(&told), standby(&told)), (has(&[("0", &[0, 1])]), has(&[("0", &[2, 3])])));
    let told = alive(&mut bed, anew("b"));
    assert_eq!((active(&told), standby(&told)), (has(&[("0", &[2, 3])]), has(&[("0", &[0, 1])])));
}

#[test]
fn a_member_that_missed_an_answer_is_told_its_tasks_again() {
    let (mut bed, epoch) = settled();
    let told = alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    assert_eq!(active(&told), None, "it runs what it was given");
    let told = alive(&mut bed, beat("a", epoch));
    assert_eq!(active(&told), None, "it does not say what it runs");
    let told = alive(&mut bed, running("a", epoch, &[0]));
    assert_eq!(active(&told), has(&[("0", &[0, 1, 2, 3])]));
}

#[test]
fn a_member_that_leaves_or_is_silent_leaves_its_tasks_to_the_others() {
    let (mut bed, epoch) = settled();
    let told = alive(&mut bed, beat("a", -1));
    assert_eq!((told.member_epoch, described(&mut bed).group_state.to_string()), (-1, "Empty".to_owned()));
    alive(&mut bed, join("b", one("t")));
    bed.pass(DELAY_MS);
    alive(&mut bed, beat("b", epoch));
    bed.pass(45_000);
    assert_eq!(described(&mut bed).members, vec![]);
}

#[test]
fn one_member_can_end_the_whole_application() {
    let (mut bed, epoch) = settled();
    alive(&mut bed, join("b", one("t")));
    let told = alive(&mut bed, Beat { shutdown_application: true, ..beat("b", epoch + 1) });
    assert_eq!(statuses(&told), [4]);
    let told = alive(&mut bed, running("a", epoch, &[0, 1, 2, 3]));
    assert_eq!(statuses(&told), [4]);
    for member in ["a", "b"] {
        alive(&mut bed, beat(member, -1));
    }
    let told = alive(&mut bed, join("c", one("t")));
    assert_eq!(statuses(&told), [5], "a group without members forgets it");
}

#[test]
fn endpoints_are_told_with_their_partitions() {
    let mut bed = coordinator(&[("t", 2), ("app-changelog", 2)]);
    let endpoint = q::Endpoint { host: "host".into(), port: 7 };
    alive(&mut bed, Beat { user_endpoint: Some(endpoint), ..join("a", one("t")) });
    bed.pass(DELAY_MS);
    let told = alive(&mut bed, beat("a", 1));
    let served = told.partitions_by_user_endpoint.expect("they have changed");
    assert_eq!((&*served[0].user_endpoint.host, served[0].user_endpoint.port), ("host", 7));
    assert_eq!(served[0].active_partitions[0].partitions, [0, 1]);
    let seen = told.endpoint_information_epoch;
    let told = alive(&mut bed, Beat { endpoint_information_epoch: seen, ..beat("a", told.member_epoch) });
    assert_eq!(told.partitions_by_user_endpoint, None);
}

#[test]
fn a_topology_that_does_not_fit_the_topics_is_told_to_the_members() {
    let mut bed = coordinator(&[("t", 4), ("u", 3)]);
    let told = alive(&mut bed, join("a", one("missing")));
    assert_eq!(statuses(&told), [5, 1]);
    let details = told.status.iter().flatten().map(|status| status.status_detail.to_string());
    assert_eq!(details.last(), Some("Source topics missing are missing.".to_owned()));
    let together = q::CopartitionGroup { source_topics: vec![0, 1], ..Default::default() };
    let mut topology = one("t");
    topology.subtopologies[0].source_topics.push("u".into());
    topology.subtopologies[0].copartition_groups.push(together);
    let told = alive(&mut bed, Beat { group_id: "other".into(), ..join("a", topology) });
    assert_eq!(statuses(&told), [5, 2]);
    let details = told.status.iter().flatten().map(|status| status.status_detail.to_string());
    let expected = "Following topics do not have the same number of partitions: [{t=4, u=3}]";
    assert_eq!(details.last().as_deref(), Some(expected));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (mut bed, epoch) = settled();
    let refuses = |bed: &mut Testbed, request, error, text: &str| {
        let before = bed.log.len();
        let (code, message) = refused(bed, request);
        assert_eq!((code, message.contains(text)), (error, true), "{message}");
        assert_eq!(bed.log.len(), before);
    };
    let invalid = ErrorCode::InvalidRequest;
    refuses(&mut bed, beat("", epoch), invalid, "MemberId can't be empty.");
    refuses(&mut bed, beat("a", -3), invalid, "MemberEpoch is -3");
    refuses(&mut bed, beat("a", epoch + 1), ErrorCode::FencedMemberEpoch, "greater member epoch");
    refuses(&mut bed, beat("a", epoch - 1), ErrorCode::FencedMemberEpoch, "smaller member epoch");
    refuses(&mut bed, beat("b", epoch), ErrorCode::UnknownMemberId, "is not a member of group app");
    refuses(&mut bed, Beat { topology: None, ..join("b", one("t")) }, invalid, "Topology must be non-null");
    refuses(&mut bed, Beat { topology: Some(one("t")), ..beat("a", epoch) }, invalid, "only be provided when");
    refuses(&mut bed, join("b", word_count()), invalid, "Topology updates are not supported yet.");
    refuses(&mut bed, running("a", epoch, &[4]), invalid, "Task 4 for subtopology 0 is invalid.");
    refuses(&mut bed, Beat { instance_id: Some("i".into()), ..beat("a", epoch) }, invalid, "Static membership");
    let mut fixed = one("t");
    fixed.subtopologies[0].state_changelog_topics[0].partitions = 3;
    refuses(&mut bed, join("b", fixed), ErrorCode::StreamsInvalidTopology, "must have an undefined partition count");
    let mut looped = one("t");
    looped.subtopologies[0].repartition_source_topics.push(info("never-written"));
    let request = Beat { group_id: "new".into(), ..join("b", looped) };
    refuses(&mut bed, request, ErrorCode::StreamsInvalidTopology, "never used as a sink topic");
    let mut outside = one("t");
    let group = q::CopartitionGroup { source_topics: vec![9], ..Default::default() };
    outside.subtopologies[0].copartition_groups.push(group);
    let request = Beat { group_id: "new".into(), ..join("b", outside) };
    refuses(&mut bed, request, ErrorCode::UnknownServerError, "out of bounds");
}

#[test]
fn a_deleted_group_leaves_nothing_in_the_log() {
    let (mut bed, _) = settled();
    alive(&mut bed, beat("a", -1));
    let deleted = bed.call(2, Request::DeleteGroup("app".into()));
    let Answer::DeleteGroup(result) = deleted else { panic!("not a deletion: {deleted:?}") };
    assert_eq!(result.error_code, 0);
    bed.fail_over();
    assert_eq!(ErrorCode::from(described(&mut bed).error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(bed.shard.len(), 0);
}
