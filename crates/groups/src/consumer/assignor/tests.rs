//! Cases recorded from Kafka 4.3.1's own classes, given members and topics in the order of their ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_base::Uuid;

use super::{Assignment, Assignor, MemberSpec, Spec};

/// Each case is a line `case ASSIGNOR KIND`, then lines `topic ID PARTITIONS` and
/// `member ID INSTANCE SUBSCRIPTION ASSIGNED EXPECTED`.
const GOLDEN: &str = include_str!("golden.txt");

fn topic_id(text: &str) -> Uuid {
    Uuid(u128::from(text.parse::<u64>().unwrap()).to_be_bytes())
}

fn assignment(text: &str) -> Assignment {
    let topics = text.split(';').filter(|topic| *topic != "-");
    topics
        .map(|topic| {
            let (id, partitions) = topic.split_once(':').unwrap();
            (topic_id(id), partitions.split(',').map(|partition| partition.parse().unwrap()).collect())
        })
        .collect()
}

fn optional(text: &str) -> Option<&str> {
    (text != "-").then_some(text)
}

#[test]
fn assigns_as_kafka_does() {
    let mut cases = 0;
    for case in GOLDEN.split("case ").filter(|case| !case.is_empty()) {
        let mut lines = case.lines();
        let (assignor, kind) = lines.next().unwrap().split_once(' ').unwrap();
        let (mut topics, mut members, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "topic" {
                topics.insert(topic_id(words[1]), words[2].parse().unwrap());
                continue;
            }
            let subscribed: BTreeSet<Uuid> =
                optional(words[3]).into_iter().flat_map(|topics| topics.split(',')).map(topic_id).collect();
            let member = MemberSpec {
                instance_id: optional(words[2]).map(Into::into),
                topics: Arc::new(subscribed),
                assigned: Cow::Owned(assignment(words[4])),
            };
            members.insert(words[1].into(), member);
            expected.insert(words[1].to_owned(), assignment(words[5]));
        }
        let spec = Spec::new(members, kind == "homogeneous", topics);
        let target = Assignor::from_name(assignor).unwrap().assign(&spec).unwrap();
        for (member, expected) in expected {
            let got = target.get(member.as_str()).cloned().unwrap_or_default();
            assert_eq!(got, expected, "member {member} in case {case}");
        }
        cases += 1;
    }
    assert!(cases >= 60);
}

#[test]
fn partitions_that_two_members_have_or_that_do_not_exist_are_given_once() {
    let member = |assigned: &str| MemberSpec {
        instance_id: None,
        topics: Arc::new(BTreeSet::from([topic_id("1")])),
        assigned: Cow::Owned(assignment(assigned)),
    };
    for homogeneous in [true, false] {
        let members = BTreeMap::from([("a".into(), member("1:0,1,7")), ("b".into(), member("1:1"))]);
        let spec = Spec::new(members, homogeneous, BTreeMap::from([(topic_id("1"), 3)]));
        let target = Assignor::Uniform.assign(&spec).unwrap();
        assert_eq!(target["a"], assignment("1:0,1"));
        assert_eq!(target["b"], assignment("1:2"));
    }
}
