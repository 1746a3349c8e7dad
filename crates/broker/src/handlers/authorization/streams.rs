//! APIs of streams groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Gate, Guarded, Restricted};
use crate::handlers::groups::serves_streams_protocol;
use crate::handlers::streams_group_heartbeat::topics_of;

const FAILED: i16 = ErrorCode::GroupAuthorizationFailed.code();
const TOPIC_FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();

impl Guarded for m::StreamsGroupHeartbeatRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let refused =
            |error_code| Restricted::Refused(m::StreamsGroupHeartbeatResponse { error_code, ..Default::default() });
        if !serves_streams_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        if !gate.may(Operation::Read, Resource::group(&self.group_id)) {
            return refused(FAILED);
        }
        let names: BTreeSet<&ByteString> = self.topology.iter().flat_map(topics_of).collect();
        let may_describe = |name: &&&ByteString| gate.may(Operation::Describe, Resource::topic(name));
        // Every name is looked at, so that the audit log has all of them.
        match names.iter().filter(may_describe).count() == names.len() {
            true => Restricted::Allowed,
            false => refused(TOPIC_FAILED),
        }
    }
}

impl Guarded for m::StreamsGroupDescribeRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::streams_group_describe_response::DescribedGroup;
        if !serves_streams_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        let groups = std::mem::take(&mut self.group_ids);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| gate.may(Operation::Describe, Resource::group(group)));
        self.group_ids = allowed;
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::StreamsGroupDescribeResponse| {
            let mut known: BTreeMap<ByteString, bool> = BTreeMap::new();
            for group in &mut response.groups {
                if group.authorized_operations != i32::MIN {
                    group.authorized_operations = gate.operations(Resource::group(&group.group_id));
                }
                let mut hidden = false;
                for topic in topics_of_group(group) {
                    let may_see = || gate.may(Operation::Describe, Resource::topic(&topic));
                    hidden |= !*known.entry(topic.clone()).or_insert_with(may_see);
                }
                if hidden {
                    let text = "The described group uses topics that the client is not authorized to describe.";
                    *group = DescribedGroup {
                        group_id: group.group_id.clone(),
                        error_code: TOPIC_FAILED,
                        error_message: Some(text.into()),
                        ..Default::default()
                    };
                }
            }
            response.groups.extend(refused.iter().map(|group| DescribedGroup {
                error_code: FAILED,
                group_id: group.clone(),
                ..Default::default()
            }));
        })
    }
}

/// Every topic that a described group names.
fn topics_of_group(group: &m::streams_group_describe_response::DescribedGroup) -> BTreeSet<ByteString> {
    let subtopologies = group.topology.iter().flat_map(|topology| topology.subtopologies.iter().flatten());
    let topics = subtopologies.flat_map(|subtopology| {
        let infos = subtopology.repartition_source_topics.iter().chain(&subtopology.state_changelog_topics);
        let names = subtopology.source_topics.iter().chain(&subtopology.repartition_sink_topics);
        names.chain(infos.map(|info| &info.name))
    });
    topics.cloned().collect()
}
