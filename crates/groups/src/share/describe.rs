//! What tools ask about a share group.

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_wire::messages::share_group_describe_response as d;

use super::group::{Partitions, ShareGroup};
use crate::walk;

/// The only assignor.
const ASSIGNOR: &str = "simple";

impl ShareGroup {
    /// The group as ShareGroupDescribe shows it.
    pub(super) fn describe(&self, image: &MetadataImage) -> d::DescribedGroup {
        let mut members: Vec<d::Member> = self
            .members
            .iter()
            .map(|(id, member)| d::Member {
                member_id: id.clone(),
                rack_id: member.rack_id.clone(),
                member_epoch: member.epoch,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topic_names: member.topics.iter().cloned().collect(),
                assignment: named(&member.assigned, image),
            })
            .collect();
        walk::sort(&mut members, |member| &member.member_id);
        d::DescribedGroup {
            group_id: self.id.clone(),
            group_state: self.state_name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: ASSIGNOR.into(),
            members,
            ..Default::default()
        }
    }
}

/// Partitions with the names of their topics; topics that are gone are left out.
fn named(assigned: &Partitions, image: &MetadataImage) -> d::Assignment {
    let topics = assigned.iter().filter_map(|(id, partitions)| {
        let topic = image.topics().by_id(*id)?;
        let partitions = partitions.iter().copied().collect();
        Some(d::TopicPartitions { topic_id: *id, topic_name: ByteString::from(&*topic.name), partitions })
    });
    d::Assignment { topic_partitions: topics.collect() }
}
