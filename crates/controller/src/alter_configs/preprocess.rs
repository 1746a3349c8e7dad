//! What a broker checks before it hands a change of configurations to the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{ConfigMap, ConfigTable};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_wire::ErrorCode;

use super::broker_rules::{self, Level};
use super::request::{Answer, Asked, ConfigsRequest};
use super::{Operation, edit_list};
use crate::Refusal;

/// On whose behalf a node received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverRole {
    /// A broker checks what the controller cannot know.
    Broker,
    /// A controller changes its own loggers, and decides about the rest.
    Controller,
}

/// A change of a logger's level: its name, the number of the operation, and the level.
pub type LoggerChange<'a> = (&'a str, i8, Option<&'a str>);

/// A resource by type and name, and what the node itself said about it.
type Said = (i8, ByteString, Option<Result<(), Refusal>>);

/// The node that received a request.
#[derive(Clone, Copy)]
pub struct Receiver<'a> {
    /// Its id.
    pub node: NodeId,
    /// As what it received it.
    pub role: ReceiverRole,
    /// The cluster as it knows it.
    pub image: &'a MetadataImage,
    /// Whether it could run with such dynamic configurations, of all brokers and its own; Kafka's message if not.
    pub could_run: &'a dyn Fn(&ConfigMap, &ConfigMap) -> Result<(), String>,
    /// Changes levels of its loggers, which it does by itself.
    pub loggers: &'a dyn Fn(&[LoggerChange<'_>]) -> Result<(), Refusal>,
}

/// A request of which the broker has answered some resources. `rest` goes to the controller, whose response
/// [`Preprocessed::complete`] turns into the response to the whole request.
pub struct Preprocessed<Q> {
    /// What the controller is to decide.
    pub rest: Q,
    /// Every resource of the request, in its order, and what the broker said about it.
    answered: Vec<Said>,
}

/// Checks a request as the broker that received it.
pub fn preprocess<Q: ConfigsRequest>(receiver: Receiver<'_>, request: &Q) -> Preprocessed<Q> {
    let asked = request.asked();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> = asked.iter().map(|a| (a.kind, a.name)).filter(|key| !seen.insert(*key)).collect();
    let mut answered = Vec::new();
    for resource in &asked {
        let said = if receiver.role == ReceiverRole::Controller && !is_logger::<Q>(resource) {
            None
        } else if twice.contains(&(resource.kind, resource.name)) {
            Some(Err(invalid("Each resource must appear at most once.")))
        } else {
            receiver.check::<Q>(resource).map_or_else(|refusal| Some(Err(refusal)), |done| done.then_some(Ok(())))
        };
        answered.push((resource.kind, resource.name.clone(), said));
    }
    let kept: Vec<bool> = answered.iter().map(|(.., said)| said.is_none()).collect();
    let mut rest = request.clone();
    rest.keep(&kept);
    Preprocessed { rest, answered }
}

/// Refuses every resource of a request.
pub fn refuse_configs<Q: ConfigsRequest>(request: &Q, refusal: &Refusal) -> Q::Answered {
    let refuse = |resource: Asked<'_>| Answer::new(resource.kind, resource.name.clone(), &Err(refusal.clone()));
    Q::answered(request.asked().into_iter().map(refuse).collect())
}

impl<Q: ConfigsRequest> Preprocessed<Q> {
    /// The response to the whole request, with what the controller said about the rest, or why it said nothing.
    pub fn complete(self, decided: Result<Q::Answered, Refusal>) -> Q::Answered {
        let (mut said, missing) = match decided {
            Ok(response) => {
                let answers = Q::answers(response).into_iter();
                let said: BTreeMap<_, _> = answers.map(|answer| ((answer.kind, answer.name.clone()), answer)).collect();
                // A controller that says nothing about a resource is broken.
                (said, Refusal::usual(ErrorCode::UnknownServerError))
            }
            Err(refusal) => (BTreeMap::new(), refusal),
        };
        let answer = |(kind, name, own): Said| match own {
            Some(result) => Answer::new(kind, name, &result),
            None => {
                said.remove(&(kind, name.clone())).unwrap_or_else(|| Answer::new(kind, name, &Err(missing.clone())))
            }
        };
        Q::answered(self.answered.into_iter().map(answer).collect())
    }
}

fn is_logger<Q: ConfigsRequest>(resource: &Asked<'_>) -> bool {
    Q::CHANGES_LOGGERS && resource.kind == ConfigResourceType::BrokerLogger.id()
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::because(ErrorCode::InvalidRequest, text)
}

impl Receiver<'_> {
    /// Whether the resource is done with, so that the controller needs not look at it.
    fn check<Q: ConfigsRequest>(&self, resource: &Asked<'_>) -> Result<bool, Refusal> {
        let mut names = BTreeSet::new();
        if !resource.configs.iter().all(|(name, ..)| names.insert(*name)) {
            return Err(invalid("Error due to duplicate config keys"));
        }
        let delete = Operation::Delete.id();
        let nulls = resource.configs.iter().filter(|(_, operation, value)| *operation != delete && value.is_none());
        let nulls: Vec<&str> = nulls.map(|(name, ..)| &***name).collect();
        if !nulls.is_empty() {
            return Err(invalid(format!("Null value not supported for : {}", nulls.join(", "))));
        }
        let name = &**resource.name;
        match ConfigResourceType::from_id(resource.kind) {
            Some(ConfigResourceType::Broker) if name.is_empty() => self.check_broker(Level::Cluster, resource)?,
            Some(ConfigResourceType::Broker) => match name.parse::<i32>() {
                Err(_) => return Err(invalid(format!("Node id must be an integer, but it is: {name}"))),
                Ok(id) if NodeId(id) != self.node => {
                    return Err(invalid(format!("Unexpected broker id, expected {}, but received {name}", self.node)));
                }
                Ok(_) => self.check_broker(Level::Broker, resource)?,
            },
            Some(ConfigResourceType::BrokerLogger) if Q::CHANGES_LOGGERS => {
                return self.check_loggers(resource).map(|()| true);
            }
            Some(ConfigResourceType::BrokerLogger) | None => {
                return Err(invalid(format!("Unknown resource type {}", resource.kind)));
            }
            Some(_) => {}
        }
        Ok(false)
    }

    fn check_loggers(&self, resource: &Asked<'_>) -> Result<(), Refusal> {
        let name = &**resource.name;
        match name.parse::<i32>() {
            Err(_) => Err(invalid(format!("Node id must be an integer, but it is: {name}"))),
            Ok(id) if NodeId(id) != self.node => {
                Err(invalid(format!("Unexpected node id. Expected {}, but received {id}", self.node)))
            }
            Ok(_) => {
                let change = |(name, operation, value): &(&ByteString, i8, Option<&ByteString>)| {
                    // The names live as long as the request.
                    (name.to_string(), *operation, value.map(ToString::to_string))
                };
                let changes: Vec<_> = resource.configs.iter().map(change).collect();
                let changes: Vec<_> = changes.iter().map(|(n, o, v)| (n.as_str(), *o, v.as_deref())).collect();
                (self.loggers)(&changes)
            }
        }
    }

    /// Checks what brokers would be set to: the stored configurations of that level with the changes.
    fn check_broker(&self, level: Level, resource: &Asked<'_>) -> Result<(), Refusal> {
        let key = ConfigResource { kind: ConfigResourceType::Broker, name: Arc::from(&**resource.name) };
        let of = |key: &ConfigResource| self.image.configs().get(key).cloned().unwrap_or_default();
        let mut after = of(&key);
        for (name, operation, value) in &resource.configs {
            let value = value.map_or("", |value| &**value);
            let operation = Operation::from_id(*operation)
                .ok_or_else(|| invalid(format!("Unknown operations type {operation}")))?;
            match operation {
                Operation::Set => after.insert(Arc::from(&***name), Arc::from(value)),
                Operation::Delete => after.remove(&***name),
                Operation::Append | Operation::Subtract => {
                    if ConfigTable::BROKER.get(name).is_none() {
                        let text = format!("Unknown config name: {name}");
                        return Err(Refusal::because(ErrorCode::InvalidConfig, text));
                    }
                    let edited = edit_list(key.kind, name, operation, after.get(&***name).map(|text| &**text), value)?;
                    after.insert(Arc::from(&***name), Arc::from(edited))
                }
            };
        }
        broker_rules::check(level, &after)?;
        let own = ConfigResource { kind: ConfigResourceType::Broker, name: self.node.to_string().into() };
        let (cluster, own) = match level {
            Level::Broker => (of(&ConfigResource::cluster()), after),
            Level::Cluster => (after, of(&own)),
        };
        (self.could_run)(&cluster, &own).map_err(invalid)
    }
}
