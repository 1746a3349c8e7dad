//! Changes laid over what was known.

use std::collections::BTreeMap;

use crate::partition::{DeliveryState, StateBatch};

/// What is known of records from `start` on, after `newer` was laid over `known`: in order, without overlaps, as few batches
/// as possible. Where several say something of a record, the one with more deliveries counts, then the one that is further.
/// A `start` of -1 keeps all.
pub(super) fn combine(known: &[StateBatch], newer: &[StateBatch], start: i64) -> Vec<StateBatch> {
    // How many batches of each kind begin and end at an offset.
    let mut changes: BTreeMap<i64, Vec<(i16, DeliveryState, bool)>> = BTreeMap::new();
    for batch in known.iter().chain(newer) {
        let first = batch.first.max(start);
        if first > batch.last || batch.last == i64::MAX {
            continue;
        }
        changes.entry(first).or_default().push((batch.delivery_count, batch.state, true));
        changes.entry(batch.last + 1).or_default().push((batch.delivery_count, batch.state, false));
    }
    let mut open: BTreeMap<(i16, DeliveryState), usize> = BTreeMap::new();
    let mut combined: Vec<StateBatch> = Vec::new();
    let mut from = 0;
    for (at, changes) in changes {
        if let Some(((delivery_count, state), _)) = open.last_key_value() {
            push(
                &mut combined,
                StateBatch { first: from, last: at - 1, state: *state, delivery_count: *delivery_count },
            );
        }
        for (delivery_count, state, begins) in changes {
            let count = open.entry((delivery_count, state)).or_default();
            // What ends has begun before, at a smaller offset.
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        }
        open.retain(|_, count| *count > 0);
        from = at;
    }
    combined
}

fn push(combined: &mut Vec<StateBatch>, batch: StateBatch) {
    match combined.last_mut() {
        Some(last)
            if last.last + 1 == batch.first
                && (last.state, last.delivery_count) == (batch.state, batch.delivery_count) =>
        {
            last.last = batch.last;
        }
        _ => combined.push(batch),
    }
}
