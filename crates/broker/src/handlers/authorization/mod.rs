//! What requests may do and see, by the ACLs: checked before their handlers, and in what the handlers answer.
//!
//! Every request type says what it needs ([`Guarded`]): an API without that does not compile into the table of APIs. Before a
//! handler runs, the items that the client may not use are taken out of its request; the handler decides about the rest;
//! then its answer gets the refused items, and loses what the client may not see ([`Amendment`]). Without an authorizer
//! none of this happens.

mod cluster;
mod configs;
mod described;
mod groups;
mod open;
mod share;
mod streams;
mod topics;
mod topics_changes;
mod transactions;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_access::acl::{Operation, Resource, ResourceType};
use thalweg_access::{Authorizer, Decision};
use thalweg_metadata::MetadataImage;
use thalweg_wire::{ErrorCode, Request};
use tracing::{debug, enabled, info, trace};

use crate::call::{Amendment, Call};

/// Whether a refusal is an attempt of the client's, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The client named the resource: a refusal is logged at INFO.
    Explicit,
    /// The check only filters or tries one of several rights: a refusal is logged at TRACE.
    Silent,
}

/// One request before the authorizer.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) call: Call,
    pub(crate) image: Arc<MetadataImage>,
    authorizer: Arc<Authorizer>,
}

impl Gate {
    /// The gate that a request has to pass; none without an authorizer.
    pub(crate) fn of(call: &Call) -> Option<Arc<Self>> {
        let authorizer = Arc::clone(call.broker.authorizer.as_ref()?);
        Some(Arc::new(Self { call: call.clone(), image: call.broker.image(), authorizer }))
    }

    /// Whether the client may do that.
    pub(crate) fn may(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.decides(operation, resource, Attempt::Explicit, 1)
    }

    /// Whether the client may do that, where being refused is no attempt.
    pub(crate) fn may_silently(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.decides(operation, resource, Attempt::Silent, 1)
    }

    /// Whether the client may do that; `references` is how often the request names the resource.
    pub(crate) fn decides(
        &self,
        operation: Operation,
        resource: Resource<'_>,
        attempt: Attempt,
        references: usize,
    ) -> bool {
        let verdict = self.authorizer.authorize(self.image.acls(), &self.call.identity.asker, operation, resource);
        let line =
            || verdict.audit_line(&self.call.identity.asker, operation, resource, self.call.api.name(), references);
        match (verdict.decision, attempt) {
            (Decision::Allowed, _) if enabled!(tracing::Level::DEBUG) => {
                debug!("{}", line());
            }
            (Decision::Allowed, _) => {}
            (Decision::Denied, Attempt::Explicit) => info!("{}", line()),
            (Decision::Denied, Attempt::Silent) => trace!("{}", line()),
        }
        verdict.is_allowed()
    }

    /// Whether there can be a resource of that type with which the client may do that.
    pub(crate) fn may_with_some(&self, operation: Operation, kind: ResourceType) -> bool {
        self.authorizer.authorize_by_type(self.image.acls(), &self.call.identity.asker, operation, kind)
            == Decision::Allowed
    }

    /// What the client may do with a resource, as bits by operation (KIP-430).
    pub(crate) fn operations(&self, resource: Resource<'_>) -> i32 {
        let acls = self.image.acls();
        let allowed = resource.kind.operations().iter().filter(|operation| {
            self.authorizer.authorize(acls, &self.call.identity.asker, **operation, resource).is_allowed()
        });
        allowed.map(|operation| 1 << operation.number()).sum()
    }

    /// The sentence of Kafka's about a request that needs a right to the cluster.
    fn needs(&self, operation: Operation) -> String {
        let (api, version) = (self.call.api.name(), self.call.version);
        format!("Request Request(api={api}, version={version}) needs {} permission.", operation.name())
    }
}

/// What becomes of a request.
pub(crate) enum Restricted<R> {
    /// Its handler does it, and the answer stands.
    Allowed,
    /// It is refused as a whole; this is the answer.
    Refused(R),
    /// Its handler does what is left of it, and the answer is amended.
    Amended(Box<dyn Fn(&mut R) + Send + Sync>),
}

impl<R> Restricted<R> {
    /// Amends the answer if anything was refused.
    fn amended(any_refused: bool, amend: impl Fn(&mut R) + Send + Sync + 'static) -> Self {
        match any_refused {
            true => Self::Amended(Box::new(amend)),
            false => Self::Allowed,
        }
    }

    /// Amends every answer.
    fn filtered(amend: impl Fn(&mut R) + Send + Sync + 'static) -> Self {
        Self::Amended(Box::new(amend))
    }
}

/// A request that says what its client needs for it.
pub(crate) trait Guarded: Request<Response: Clone + 'static> {
    /// Whether everybody may ask this, so that there is nothing to decide.
    fn is_open(_call: &Call) -> bool {
        false
    }

    /// Takes out what the client may not do.
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response>;
}

/// Restricts a request to what its client may do. Returns the answer if nothing is left to do.
pub(crate) fn guard<Q: Guarded>(call: &mut Call, request: &mut Q) -> Option<Q::Response> {
    if Q::is_open(call) {
        return None;
    }
    let gate = Gate::of(call)?;
    match request.restrict(&gate) {
        Restricted::Allowed => None,
        Restricted::Refused(response) => Some(response),
        Restricted::Amended(amend) => {
            call.amendment = Some(Amendment::new(amend));
            None
        }
    }
}

/// Splits items by whether the client may do something with the resource that each names; each resource is decided once.
fn split<T>(
    gate: &Gate,
    operation: Operation,
    items: Vec<T>,
    resource: impl Fn(&T) -> Resource<'_>,
) -> (Vec<T>, Vec<T>) {
    let mut counts: BTreeMap<(ResourceType, &str), usize> = BTreeMap::new();
    for item in &items {
        let resource = resource(item);
        *counts.entry((resource.kind, resource.name)).or_default() += 1;
    }
    let is_refused = |((kind, name), references): &((ResourceType, &str), usize)| {
        !gate.decides(operation, Resource { kind: *kind, name }, Attempt::Explicit, *references)
    };
    let refused = counts.into_iter().filter(is_refused).map(|((_, name), _)| name.to_owned());
    let refused: BTreeSet<String> = refused.collect();
    if refused.is_empty() {
        return (items, Vec::new());
    }
    items.into_iter().partition(|item| !refused.contains(resource(item).name))
}

/// The code of a refusal, by the type of what is refused.
fn refusal(kind: ResourceType) -> ErrorCode {
    match kind {
        ResourceType::Topic => ErrorCode::TopicAuthorizationFailed,
        ResourceType::Group => ErrorCode::GroupAuthorizationFailed,
        ResourceType::TransactionalId => ErrorCode::TransactionalIdAuthorizationFailed,
        _ => ErrorCode::ClusterAuthorizationFailed,
    }
}
