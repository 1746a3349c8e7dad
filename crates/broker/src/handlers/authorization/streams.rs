//! APIs of streams groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::described::{describe, described, refuses_member};
use super::{Gate, Guarded, Restricted};
use crate::handlers::groups::serves_streams_protocol;
use crate::handlers::streams_group_heartbeat::topics_of;

impl Guarded for m::StreamsGroupHeartbeatRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if !serves_streams_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        match refuses_member(gate, &self.group_id, self.topology.iter().flat_map(topics_of)) {
            None => Restricted::Allowed,
            Some(error) => {
                Restricted::Refused(m::StreamsGroupHeartbeatResponse { error_code: error.code(), ..Default::default() })
            }
        }
    }
}

impl Guarded for m::StreamsGroupDescribeRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if !serves_streams_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        describe(gate, &mut self.group_ids, |response: &mut m::StreamsGroupDescribeResponse| &mut response.groups)
    }
}

described!(
    m::streams_group_describe_response::DescribedGroup,
    "The described group uses topics that the client is not authorized to describe.",
    |group| topics_of_group(group).into_iter().collect()
);

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
