//! Groups as tools see them.

use thalweg_wire::messages::ListGroupsRequest;

use super::{Admin, check};
use crate::java;
use crate::thrown::Thrown;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub id: String,
    /// Its type, as the broker calls it; empty from brokers that do not say.
    pub kind: String,
    /// Its state; empty from brokers that do not say.
    pub state: String,
    /// Its protocol, such as `consumer`.
    pub protocol: String,
}

impl GroupListing {
    /// Whether it is a consumer group, of the classic protocol or the new one.
    #[must_use]
    pub fn is_consumer_group(&self) -> bool {
        match self.kind.to_lowercase().as_str() {
            "consumer" => true,
            "classic" | "" => self.protocol == "consumer" || self.protocol.is_empty(),
            _ => false,
        }
    }
}

impl Admin {
    /// The groups of all brokers, those in one of these states and of one of these types; all, where none is named. They
    /// come in the order of Kafka's hash map.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn list_groups(&self, states: &[String], types: &[String]) -> Result<Vec<GroupListing>, Thrown> {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|state| state.as_str().into()).collect(),
            types_filter: types.iter().map(|kind| kind.as_str().into()).collect(),
        };
        let mut groups: Vec<GroupListing> = Vec::new();
        for broker in self.brokers("findAllBrokers").await? {
            let response = self.node("listGroups", broker, &request).await?;
            check(response.error_code, None)?;
            for group in &response.groups {
                let listing = GroupListing {
                    id: group.group_id.to_string(),
                    kind: group.group_type.to_string(),
                    state: group.group_state.to_string(),
                    protocol: group.protocol_type.to_string(),
                };
                groups.retain(|other| other.id != listing.id);
                groups.push(listing);
            }
        }
        Ok(java::hash_order(groups, 16, |group| java::string_hash(&group.id)))
    }
}
