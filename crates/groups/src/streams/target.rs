//! What each member is to run: the assignor's input and output.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_coordinator::At;

use super::assignor::{MemberSpec, Spec, assign};
use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::settings::StreamsSettings;
use super::tasks::TargetTasks;
use super::topology::ConfiguredTopology;
use crate::records::Record;

/// The name of the configuration that tasks are assigned by.
const STANDBY_REPLICAS: &str = "num.standby.replicas";

impl StreamsGroup {
    /// The configuration that tasks are assigned by now.
    pub(super) fn current_configs(&self, at: At<'_>, settings: &StreamsSettings) -> BTreeMap<ByteString, ByteString> {
        let replicas = settings.standby_replicas(at.image, &self.id);
        BTreeMap::from([(STANDBY_REPLICAS.into(), replicas.to_string().into())])
    }

    /// Whether the last target is old enough, so that members that join together are assigned to together.
    pub(super) fn may_assign(&self, at: At<'_>, settings: &StreamsSettings) -> bool {
        let interval = settings.assignment_interval(at.image, &self.id).as_millis();
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        let (last, now) = (self.assignment_timestamp, at.now.timestamp.0);
        // A date ahead was written before the wall clock was set back: nobody waits until it has caught up.
        last == 0 || interval == 0 || now >= last.saturating_add(interval) || now < last
    }

    /// Computes what every member is to run in `epoch`; one of them may be about to be `updated`. The records of what
    /// changes go to `records`.
    pub(super) fn assign(
        &self,
        at: At<'_>,
        epoch: i32,
        updated: Option<(&ByteString, &StreamsMember)>,
        topology: &ConfiguredTopology,
        configs: &BTreeMap<ByteString, ByteString>,
        records: &mut Vec<Record>,
    ) -> BTreeMap<ByteString, TargetTasks> {
        let members = self.members.iter().chain(updated);
        let members = members
            .map(|(id, member)| (id, MemberSpec { process_id: &member.process_id, target: self.target.get(id) }));
        let members: BTreeMap<_, _> = members.collect();
        let replicas = configs.get(STANDBY_REPLICAS).and_then(|text| text.parse().ok()).unwrap_or(0);
        let target = match &topology.subtopologies {
            Some(subtopologies) if topology.is_ready() => {
                assign(&Spec { members, subtopologies, standby_replicas: replicas })
            }
            _ => members.into_keys().map(|id| (id.clone(), TargetTasks::default())).collect(),
        };
        for (id, tasks) in &target {
            if self.target.get(id) != Some(tasks) {
                records.push(self.target_record(id, tasks));
            }
        }
        records.push(self.target_epoch_record(epoch, at.now.timestamp.0));
        target
    }
}
