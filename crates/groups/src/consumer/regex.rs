//! Subscriptions to topics by regular expression.

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::decision::{Context, Decision};
use super::group::{ConsumerGroup, Resolved};
use super::hash::metadata_hash;
use super::member::Member;
use super::re2::Pattern;
use super::refresh::Refresh;
use super::refusal::Refusal;
use super::subscriber::Subscriber;
use super::target::shift;
use super::written::{epoch_record, regex_record};
use crate::describable::Describable;
use crate::records::Record;

/// The least time between two looks at all topics for a group's expressions, in milliseconds.
const REFRESH_INTERVAL_MIN_MS: i64 = 10_000;

/// What a member's subscription means for the group's regular expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexUpdate {
    /// The member has the expression that it had.
    Unchanged,
    /// The member has another expression, which is not resolved yet: the group's epoch waits for that.
    Unresolved,
    /// The member has none any more, or one whose topics are known: the group subscribes to other topics.
    Resolved,
}

impl ConsumerGroup {
    /// Compares the expression that a member brings with the one that it had; the tombstone of an expression that has
    /// lost its last member goes to `records`.
    ///
    /// # Errors
    /// If a new expression is invalid.
    pub(super) fn update_regex(
        &self,
        subscriber: &Subscriber<'_>,
        records: &mut Vec<Record>,
    ) -> Result<RegexUpdate, Refusal> {
        let (old, new) = (subscriber.before.regex(), subscriber.updated.regex());
        if old == new {
            return Ok(RegexUpdate::Unchanged);
        }
        for unused in self.unused_regexes(&subscriber.before, &subscriber.updated) {
            records.push(regex_tombstone(&self.id, &unused));
        }
        let Some(new) = new else { return Ok(RegexUpdate::Resolved) };
        if self.subscribers_of(new) == 0 {
            Pattern::new(new).map_err(|why| {
                let message = format!("SubscribedTopicRegex `{new}` is not a valid regular expression: {why}.");
                Refusal::new(ErrorCode::InvalidRegularExpression, message)
            })?;
        }
        Ok(if self.resolved.contains_key(new) { RegexUpdate::Resolved } else { RegexUpdate::Unresolved })
    }

    /// The expressions that nobody subscribes to once `updated` has taken the place of `before`: one or none.
    pub(super) fn unused_regexes(&self, before: &Member, updated: &Member) -> BTreeSet<ByteString> {
        let old = before.regex().filter(|old| updated.regex() != Some(old) && self.subscribers_of(old) == 1);
        old.cloned().into_iter().collect()
    }

    /// Whether the group's expressions are to be resolved soon, once `updated` has taken the place of `before`: when one
    /// of them is not, topics have appeared, or time has passed; but not more often than every ten seconds, so that the
    /// members of a group that come with several expressions cause one rebalance.
    pub(super) fn is_regex_refresh_due(&self, context: Context<'_>, before: &Member, updated: &Member) -> bool {
        let mut regexes = self.regexes.clone();
        shift(&mut regexes, before.regex(), updated.regex());
        if regexes.is_empty() {
            return false;
        }
        let now = context.at.now.timestamp.0;
        let interval = context.settings.consumer_regex_refresh_interval.as_millis();
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        let last = self.resolved.values().map(|resolved| resolved.timestamp).max();
        // A date ahead was written before the wall clock was set back: nobody waits until it has caught up.
        if last.is_some_and(|last| (last..=last.saturating_add(REFRESH_INTERVAL_MIN_MS)).contains(&now)) {
            return false;
        }
        let old = |resolved: &Resolved| {
            let fresh = resolved.timestamp..=resolved.timestamp.saturating_add(interval);
            resolved.version < self.topics_appeared || !fresh.contains(&now)
        };
        regexes.keys().any(|regex| self.resolved.get(regex).is_none_or(old))
    }

    /// Resolves every expression that members subscribe to. The group goes on to the next epoch if that changes its
    /// topics; members are given their partitions with their next heartbeats.
    ///
    /// They stand for topics that the member which caused this may describe, as in Kafka.
    ///
    /// A heartbeat that brings an expression is answered before: it takes as long as there are topics, and a client that
    /// names topics besides has those first.
    pub(super) fn resolve_regexes(&self, context: Context<'_>, describable: &Describable) -> Decision<()> {
        let mut decision = Decision::answer(());
        let mut draft = self.clone();
        let mut must = false;
        for regex in self.regexes.keys() {
            let now = resolve(regex, context, describable);
            must |= self.resolved.get(regex).map_or(!now.topics.is_empty(), |before| before.topics != now.topics);
            let record = regex_record(&self.id, regex, &now);
            draft.replay(record.clone());
            decision.records.push(record);
        }
        let hash = metadata_hash(&draft.topics, context.at.image);
        if must || hash != self.metadata_hash {
            let epoch = self.epoch.saturating_add(1);
            decision.records.push(epoch_record(&self.id, epoch, hash));
            decision.refresh = Some(Refresh::after(context.at.now.moment, epoch));
        }
        decision
    }
}

/// The record that forgets what an expression stands for.
pub(super) fn regex_tombstone(group_id: &ByteString, regex: &ByteString) -> Record {
    let (group_id, regular_expression) = (group_id.clone(), regex.clone());
    m::ConsumerGroupRegularExpressionKey { group_id, regular_expression }.into()
}

/// The topics that an expression stands for. One that is none, which only a log can hold, stands for no topic.
fn resolve(regex: &ByteString, context: Context<'_>, describable: &Describable) -> Resolved {
    let image = context.at.image;
    let (version, timestamp) = (image.provenance().offset.0, context.at.now.timestamp.0);
    let mut resolved = Resolved { topics: BTreeSet::new(), version, timestamp };
    if let Ok(pattern) = Pattern::new(regex) {
        let names = image.topics().iter_by_name("").map(|topic| &topic.name);
        let names = names.filter(|name| pattern.matches(name) && describable.contains(name));
        resolved.topics = names.map(|name| ByteString::from(&**name)).collect();
    }
    resolved
}
