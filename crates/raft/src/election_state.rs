//! What a replica must remember of elections: the content of the file `quorum-state`.

use std::fmt;
use std::fmt::Write;

use thalweg_base::{LeaderEpoch, NodeId, Uuid};

use crate::json::Json;
use crate::voters::{KRaftVersion, ReplicaKey};

/// What a replica must remember of elections, whatever happens: it votes once per epoch, and epochs never go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionState {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Who leads in this epoch, as far as it is known.
    pub leader: Option<NodeId>,
    /// For whom this replica has voted in this epoch.
    pub voted: Option<ReplicaKey>,
}

/// A text that is no `quorum-state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseElectionStateError(pub String);

impl fmt::Display for ParseElectionStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quorum-state {}", self.0)
    }
}

impl std::error::Error for ParseElectionStateError {}

impl Default for ElectionState {
    /// What a replica remembers that has no `quorum-state` yet.
    fn default() -> Self {
        Self { epoch: LeaderEpoch(0), leader: None, voted: None }
    }
}

impl ElectionState {
    /// The file's content as Kafka writes it, of version 1 when `kraft_version` supports reconfiguration, else of
    /// version 0 with the voters' ids.
    #[must_use]
    pub fn to_text(&self, kraft_version: KRaftVersion, voters: impl IntoIterator<Item = NodeId>) -> String {
        let leader = self.leader.unwrap_or(NodeId::NONE);
        let voted = self.voted.map_or(NodeId::NONE, |key| key.id);
        let epoch = self.epoch;
        if kraft_version.supports_reconfiguration() {
            let directory = self.voted.and_then(|key| key.directory).unwrap_or(Uuid::ZERO);
            return format!(
                "{{\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted},\
                 \"votedDirectoryId\":\"{directory}\",\"data_version\":1}}"
            );
        }
        let mut list = String::new();
        for id in voters {
            let comma = if list.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(list, "{comma}{{\"voterId\":{id}}}");
        }
        format!(
            "{{\"clusterId\":\"\",\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted},\
             \"appliedOffset\":0,\"currentVoters\":[{list}],\"data_version\":0}}"
        )
    }

    /// Reads the file's content, of version 0 or 1. Only the first line counts, as in Kafka.
    pub fn parse(text: &str) -> Result<Self, ParseElectionStateError> {
        let error = |what: &str| ParseElectionStateError(what.to_owned());
        let line = text.lines().next().unwrap_or_default();
        let Some(Json::Object(fields)) = Json::parse(line) else {
            return Err(error("is no JSON object"));
        };
        let number = |name: &str| match fields.get(name) {
            Some(Json::Integer(value)) => i32::try_from(*value).map_err(|_| error(&format!("has a huge `{name}`"))),
            _ => Err(error(&format!("has no number `{name}`"))),
        };
        let version = number("data_version")?;
        if !(0..=1).contains(&version) {
            return Err(error(&format!("has data_version {version}, only 0 and 1 are known")));
        }
        let id = |name: &str| Ok(Some(NodeId(number(name)?)).filter(|id| id.0 >= 0));
        let directory = match fields.get("votedDirectoryId") {
            Some(Json::Text(text)) if version == 1 => {
                let id: Uuid = text.parse().map_err(|_| error("has a votedDirectoryId that is no id"))?;
                Some(id).filter(|id| !id.is_zero())
            }
            _ if version == 1 => return Err(error("has no text `votedDirectoryId`")),
            _ => None,
        };
        let epoch = number("leaderEpoch")?;
        if epoch < 0 {
            return Err(error(&format!("has leaderEpoch {epoch}")));
        }
        let voted = id("votedId")?.map(|id| ReplicaKey { id, directory });
        Ok(Self { epoch: LeaderEpoch(epoch), leader: id("leaderId")?, voted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":2,\"votedId\":-1,\"appliedOffset\":0,\
                      \"currentVoters\":[{\"voterId\":1},{\"voterId\":2}],\"data_version\":0}";
    const V1: &str = "{\"leaderId\":-1,\"leaderEpoch\":5,\"votedId\":3,\
                      \"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"data_version\":1}";

    #[test]
    fn writes_and_reads_what_kafka_does() {
        let led = ElectionState { epoch: LeaderEpoch(2), leader: Some(NodeId(1)), voted: None };
        assert_eq!(led.to_text(KRaftVersion::STATIC, [NodeId(1), NodeId(2)]), V0);
        assert_eq!(ElectionState::parse(V0), Ok(led));
        let voted = Some(ReplicaKey { id: NodeId(3), directory: Some(Uuid::ONE) });
        let voted = ElectionState { epoch: LeaderEpoch(5), leader: None, voted };
        assert_eq!(voted.to_text(KRaftVersion::DYNAMIC, []), V1);
        assert_eq!(ElectionState::parse(V1), Ok(voted));
    }

    #[test]
    fn reads_what_kafka_4_3_1_wrote() {
        let text = "{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\
                    \"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";
        let led = ElectionState { epoch: LeaderEpoch(1), leader: Some(NodeId(1)), voted: None };
        assert_eq!(ElectionState::parse(text), Ok(led.clone()));
        assert_eq!(led.to_text(KRaftVersion::DYNAMIC, [NodeId(1)]), text);
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (from, to) in [("\"data_version\":1", "\"data_version\":2"), ("5", "-5"), ("AQ\"", "\""), ("3", "\"3\"")] {
            assert!(ElectionState::parse(&V1.replace(from, to)).is_err(), "{to}");
        }
        assert!(ElectionState::parse("").is_err());
    }
}
