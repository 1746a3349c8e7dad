//! The quota of one request that creates or deletes partitions (KIP-599).

use thalweg_access::quotas::MutationQuotas;
use thalweg_base::Moment;
use thalweg_controller::{Context, Decision, Mutations, Request, Response};
use thalweg_metadata::MetadataImage;
use thalweg_wire::Codec as _;

/// Whose quota it is, and whether it is strict.
pub(super) struct MutationQuota<'a> {
    context: &'a Context,
    client_id: &'a str,
    image: &'a MetadataImage,
    now: Moment,
    /// Clients of older versions do not understand that they are refused: they are only throttled.
    strict: bool,
}

impl<'a> MutationQuota<'a> {
    /// The quota of a client's request that creates or deletes partitions; `None` of any other.
    pub(super) fn of(context: &'a Context, request: &Request, image: &'a MetadataImage, now: Moment) -> Option<Self> {
        let client_id = context.client_id.as_deref()?;
        let strict_since = match request {
            Request::CreateTopics(_) => 6,
            Request::DeleteTopics(_) => 5,
            Request::CreatePartitions(_) => 3,
            _ => return None,
        };
        Some(Self { context, client_id, image, now, strict: context.version >= strict_since })
    }

    /// How many partitions the client may still create and delete; `None` where that is not limited, or not strictly.
    pub(super) fn left(&self, quotas: &mut MutationQuotas) -> Option<i64> {
        let user = &self.context.principal.name;
        quotas.left(self.image.client_quotas(), user, self.client_id, self.now).filter(|_| self.strict)
    }

    /// Counts what was decided, and says in the response for how long its client is throttled: where the quota is strict, if
    /// anything was refused; else if anything was done.
    pub(super) fn record(self, quotas: &mut MutationQuotas, decision: &mut Decision) {
        let user = &self.context.principal.name;
        let image = self.image.client_quotas();
        let Mutations { taken, refused, .. } = decision.mutations;
        let throttle_ms = quotas.record(image, user, self.client_id, taken, self.now);
        let is_throttled = if self.strict { refused } else { taken > 0 };
        let throttle_ms = if is_throttled { i32::try_from(throttle_ms).unwrap_or(i32::MAX) } else { 0 };
        match &mut decision.response {
            Response::CreateTopics(response) => response.set_throttle_time_ms(throttle_ms),
            Response::DeleteTopics(response) => response.set_throttle_time_ms(throttle_ms),
            Response::CreatePartitions(response) => response.set_throttle_time_ms(throttle_ms),
            _ => {}
        }
    }
}
