//! The voters that a cluster begins with, as `--initial-controllers` names them.

use std::collections::BTreeMap;

use thalweg_base::{NodeId, Uuid};

use crate::config::NodeConfig;

/// One voter: `id@host:port:directory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicVoter {
    /// The node.
    pub id: NodeId,
    /// The id of its metadata directory.
    pub directory_id: Uuid,
    /// Where its controller listens.
    pub host: String,
    /// Where its controller listens.
    pub port: u16,
}

/// The voters, by node. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicVoters(BTreeMap<NodeId, DynamicVoter>);

impl DynamicVoters {
    /// Reads voters between commas.
    ///
    /// # Errors
    /// Kafka's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut voters = BTreeMap::new();
        for text in text.trim_matches(|c: char| c <= ' ').split(',').filter(|text| !text.is_empty()) {
            let voter = parse_voter(text.trim_matches(|c: char| c <= ' '))?;
            let id = voter.id;
            if voters.insert(id, voter).is_some() {
                return Err(format!("Node id {} was specified more than once.", id.0));
            }
        }
        if voters.is_empty() {
            return Err("No voters given.".to_owned());
        }
        Ok(Self(voters))
    }

    /// The node alone, where its controller says that it can be reached.
    pub(super) fn standalone(config: &NodeConfig, directory_id: Uuid) -> Self {
        let listener = config.network.advertised_controller_listeners.first();
        let host = listener.and_then(|listener| listener.host.clone()).unwrap_or_else(|| "localhost".to_owned());
        let port = listener.map_or(0, |listener| listener.port);
        let voter = DynamicVoter { id: config.node_id, directory_id, host, port };
        Self(BTreeMap::from([(voter.id, voter)]))
    }

    /// The voter of that node.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&DynamicVoter> {
        self.0.get(&id)
    }

    /// All of them, by node.
    pub fn iter(&self) -> impl Iterator<Item = &DynamicVoter> {
        self.0.values()
    }
}

fn parse_voter(text: &str) -> Result<DynamicVoter, String> {
    let Some((id, rest)) = text.split_once('@') else {
        return Err("No @ found in dynamic voter string.".to_owned());
    };
    if id.is_empty() {
        return Err("Invalid @ at beginning of dynamic voter string.".to_owned());
    }
    let id: i32 = id.parse().map_err(|_| "Failed to parse node id in dynamic voter string.".to_owned())?;
    if id < 0 {
        return Err(format!("Invalid negative node id {id} in dynamic voter string."));
    }
    if rest.is_empty() {
        return Err("No hostname found after node id.".to_owned());
    }
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').ok_or("Hostname began with left bracket, but no right bracket was found.")?
        }
        None => {
            let colon = rest.find(':').ok_or("No colon following hostname could be found.")?;
            rest.split_at(colon)
        }
    };
    let rest = rest.strip_prefix(':').ok_or("Port section must start with a colon.")?;
    let (port, directory) = rest.split_once(':').ok_or("No colon following port could be found.")?;
    let port: i32 = port.parse().map_err(|_| "Failed to parse port in dynamic voter string.".to_owned())?;
    let port = u16::try_from(port).map_err(|_| format!("Invalid port {port} in dynamic voter string."))?;
    let directory_id =
        directory.parse().map_err(|_| "Failed to parse directory ID in dynamic voter string.".to_owned())?;
    Ok(DynamicVoter { id: NodeId(id), directory_id, host: host.to_owned(), port })
}
