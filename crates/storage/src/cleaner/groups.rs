//! Which segments are cleaned into one.

use std::ops::Range;

use super::plan::{CleanPlan, Source};

/// Offsets and positions in a segment have 31 bits.
const SPAN_MAX: i64 = i32::MAX as i64;

/// Splits the first `count` sources into runs that fit into one segment each: by their bytes, by the bytes of their
/// indexes, and by the span of their offsets.
pub(crate) fn of(plan: &CleanPlan, count: usize) -> Vec<Range<usize>> {
    let config = &plan.config;
    let (bytes_max, index_max) = (u64::from(config.segment_bytes), u64::from(config.segment_index_bytes));
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut sums = [0; 3];
    for (at, source) in plan.sources[..count].iter().enumerate() {
        let more = sizes(source);
        let grown: [u64; 3] = std::array::from_fn(|i| sums[i] + more[i]);
        let fits = grown[0] <= bytes_max && grown[1] <= index_max && grown[2] <= index_max;
        let near = |first: usize| {
            let last = source.next.0.saturating_sub(1);
            source.size == 0 || last.saturating_sub(plan.sources[first].base.0) <= SPAN_MAX
        };
        match groups.last_mut().filter(|group| fits && near(group.start)) {
            Some(group) => {
                group.end = at + 1;
                sums = grown;
            }
            None => {
                groups.push(at..at + 1);
                sums = more;
            }
        }
    }
    groups
}

fn sizes(source: &Source) -> [u64; 3] {
    [source.size, source.offset_index_bytes, source.time_index_bytes]
}
