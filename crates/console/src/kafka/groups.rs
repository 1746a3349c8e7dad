//! Groups: which there are.

mod described;
mod offsets;
mod reset;

use super::{Kafka, Snapshot, of_each};
use crate::trouble::Trouble;
pub(crate) use described::{Group, GroupKind, Member};
pub(crate) use offsets::{Committed, Progress};
pub(crate) use reset::{Reset, ResetTo, check_is_empty};
use thalweg_client::Destination;
use thalweg_wire::messages::ListGroupsRequest;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupListing {
    pub(crate) id: String,
    /// `classic`, `consumer`, `share`, `streams`; empty from brokers that do not say.
    pub(crate) kind: String,
    /// Its state; empty from brokers that do not say.
    pub(crate) state: String,
    /// Its protocol, such as `consumer`.
    pub(crate) protocol: String,
    /// The broker that coordinates it.
    pub(crate) coordinator: i32,
}

impl Kafka {
    /// The groups of all brokers, by their ids. Brokers that do not answer are named beside them.
    pub(crate) async fn groups(&self, snapshot: &Snapshot) -> Result<(Vec<GroupListing>, Vec<Trouble>), Trouble> {
        let client = self.client.clone();
        let answers = of_each(snapshot.brokers.iter().map(|broker| broker.id), |node| {
            let (client, deadline) = (client.clone(), Self::deadline());
            async move { client.send_by(&Destination::Node(node), &ListGroupsRequest::default(), deadline).await }
        });
        let (mut groups, mut troubles) = (Vec::new(), Vec::new());
        for (coordinator, answer) in answers.await {
            let response = match answer {
                Ok(response) => response,
                Err(error) => {
                    troubles.push(Trouble::Away(error));
                    continue;
                }
            };
            troubles.extend(Trouble::check(format!("groups of broker {coordinator}"), response.error_code, None).err());
            groups.extend(response.groups.into_iter().map(|group| GroupListing {
                id: group.group_id.to_string(),
                kind: group.group_type.to_lowercase(),
                state: group.group_state.to_string(),
                protocol: group.protocol_type.to_string(),
                coordinator,
            }));
        }
        groups.sort();
        groups.dedup_by(|one, other| one.id == other.id);
        Ok((groups, troubles))
    }
}
