//! Subscriptions to topics by regular expression.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::decision::Context;
use super::group::{ConsumerGroup, Resolved};
use super::heartbeat::{Subscriber, regex_record};
use super::re2::Pattern;
use super::refusal::Refusal;
use crate::records::Record;

/// The least time between two looks at all topics for a group's expressions, in milliseconds.
const REFRESH_INTERVAL_MIN_MS: i64 = 10_000;

/// What a member's subscription means for the group's regular expressions.
pub(super) struct Update<'a> {
    /// The group; another one than before if the member's expression has changed or all were resolved again. That one
    /// has the member as it is to be.
    pub(super) group: Cow<'a, ConsumerGroup>,
    /// Whether the member has another expression.
    pub(super) changed: bool,
    /// Whether the group subscribes to other topics by that.
    pub(super) resolved: bool,
}

impl ConsumerGroup {
    /// Resolves the expression that a member brings, and all of them when topics have appeared or time has passed.
    ///
    /// Kafka does that later, in another thread, and the member is given its partitions with a later heartbeat; the
    /// records are the same.
    ///
    /// # Errors
    /// If a new expression is none.
    pub(super) fn update_regexes<'a>(
        &'a self,
        context: Context<'_>,
        subscriber: &Subscriber<'_>,
        records: &mut Vec<Record>,
    ) -> Result<Update<'a>, Refusal> {
        let (old, new) = (subscriber.before.regex(), subscriber.updated.regex());
        let changed = old != new;
        let refreshes = self.is_regex_refresh_due(context);
        if !changed && !refreshes {
            return Ok(Update { group: Cow::Borrowed(self), changed, resolved: false });
        }
        let mut resolved = changed && new.is_none_or(|new| self.resolved.contains_key(new));
        if let Some(old) = old.filter(|old| changed && self.subscribers_of(old) == 1) {
            let (group_id, regular_expression) = (self.id.clone(), old.clone());
            records.push(m::ConsumerGroupRegularExpressionKey { group_id, regular_expression }.into());
        }
        if let Some(new) = new.filter(|_| changed) {
            Pattern::new(new).map_err(|why| {
                let message = format!("SubscribedTopicRegex `{new}` is not a valid regular expression: {why}.");
                Refusal::new(ErrorCode::InvalidRegularExpression, message)
            })?;
        }
        let mut draft = self.clone();
        for record in records.iter() {
            draft.replay(record.clone());
        }
        let unresolved = new.filter(|new| !draft.resolved.contains_key(*new)).cloned();
        let regexes: Vec<ByteString> =
            if refreshes { draft.regexes.keys().cloned().collect() } else { unresolved.into_iter().collect() };
        let timestamp = context.at.now.timestamp.0;
        for regex in regexes {
            let now = resolve(&regex, context.at.image, timestamp);
            let before = draft.resolved.get(&regex).map(|before| &before.topics);
            resolved |= before.unwrap_or(&BTreeSet::new()) != &now.topics;
            let record = regex_record(&self.id, &regex, &now);
            draft.replay(record.clone());
            records.push(record);
        }
        Ok(Update { group: Cow::Owned(draft), changed, resolved })
    }

    /// Whether all expressions are to be resolved again.
    fn is_regex_refresh_due(&self, context: Context<'_>) -> bool {
        if self.regexes.is_empty() {
            return false;
        }
        let now = context.at.now.timestamp.0;
        let interval = context.settings.consumer_regex_refresh_interval.as_millis();
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        let last = self.resolved.values().map(|resolved| resolved.timestamp).max();
        if last.is_some_and(|last| now <= last.saturating_add(REFRESH_INTERVAL_MIN_MS)) {
            return false;
        }
        let old = |resolved: &Resolved| {
            resolved.version < self.topics_appeared || now > resolved.timestamp.saturating_add(interval)
        };
        self.resolved.len() != self.regexes.len() || self.resolved.values().any(old)
    }
}

/// The topics that an expression stands for. One that is none, which only a log can hold, stands for no topic.
fn resolve(regex: &ByteString, image: &MetadataImage, timestamp: i64) -> Resolved {
    let version = image.provenance().offset.0;
    let mut resolved = Resolved { topics: BTreeSet::new(), version, timestamp };
    if let Ok(pattern) = Pattern::new(regex) {
        let names = image.topics().iter_by_name("").map(|topic| &topic.name);
        resolved.topics = names.filter(|name| pattern.matches(name)).map(|name| ByteString::from(&**name)).collect();
    }
    resolved
}
