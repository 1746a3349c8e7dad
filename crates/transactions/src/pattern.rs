//! Which transactional ids a ListTransactions asks for.

use std::collections::BTreeSet;

use bytestring::ByteString;
use regex::{Regex, RegexBuilder};
use thalweg_base::{ProducerId, Timestamp};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ListTransactionsRequest;

use crate::transaction::{State, Transaction};

/// So much memory may a pattern take: far more than any that a person writes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which transactional ids are listed. What is not said does not matter.
#[derive(Clone, Debug)]
pub struct Filter {
    producers: BTreeSet<ProducerId>,
    /// `None` is any; names that are no state's match nothing.
    states: Option<BTreeSet<State>>,
    /// The milliseconds since its beginning that it must exceed; negative for any.
    duration_ms: i64,
    pattern: Option<Regex>,
}

impl Filter {
    /// What a request asks for, and the names in it that are no state's.
    ///
    /// # Errors
    /// `INVALID_REGULAR_EXPRESSION`. The pattern is matched in linear time: what only a backtracking engine knows is none.
    pub fn of(request: &ListTransactionsRequest) -> Result<(Self, Vec<ByteString>), ErrorCode> {
        let (mut states, mut unknown) = (BTreeSet::new(), Vec::new());
        for name in &request.state_filters {
            match (State::from_name(name), &**name) {
                (Some(state), _) => drop(states.insert(state)),
                // Kafka has them in memory only, where no request finds an id in them.
                (None, "Dead" | "PrepareEpochFence") => {}
                (None, _) => unknown.push(name.clone()),
            }
        }
        let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let compile = |pattern: &str| {
            let whole = format!("^(?:{pattern})$");
            RegexBuilder::new(&whole)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .map_err(|_| ErrorCode::InvalidRegularExpression)
        };
        let filter = Self {
            producers: request.producer_id_filters.iter().map(|id| ProducerId(*id)).collect(),
            states: (!request.state_filters.is_empty()).then_some(states),
            duration_ms: request.duration_filter,
            pattern: pattern.map(compile).transpose()?,
        };
        Ok((filter, unknown))
    }

    /// Whether it is one of those.
    pub(crate) fn takes(&self, id: &str, transaction: &Transaction, now: Timestamp) -> bool {
        let is_short = || now.0.saturating_sub(transaction.started.0) <= self.duration_ms;
        (self.producers.is_empty() || self.producers.contains(&transaction.producer))
            && self.states.as_ref().is_none_or(|states| states.contains(&transaction.state))
            && !(self.duration_ms >= 0 && is_short())
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }
}
