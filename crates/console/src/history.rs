//! What a node did in the last hour and the last day: a bounded ring of numbers, kept beside it.
//!
//! Every ten seconds the node's counters are read; each two minutes' averages go into the ring of the day. The rings have 360 and
//! 720 points of 72 bytes, 78 KB together.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use thalweg_base::metrics::Vitals;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep, wall_clock_ms};

/// Where the numbers of a node come from: gives them, or `None` once the node stops. It may block for a moment.
#[derive(Clone)]
pub struct VitalsSource(Arc<dyn Fn() -> Option<Vitals> + Send + Sync>);

impl VitalsSource {
    /// A source that calls this function.
    pub fn new(read: impl Fn() -> Option<Vitals> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for VitalsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VitalsSource")
    }
}

/// How many numbers a point has.
pub(crate) const SERIES: usize = 8;
/// So often the counters are read.
const SAMPLE_TIME: Duration = Duration::from_secs(10);
/// So many points has the hour,
const HOUR_POINTS: usize = 360;
/// and the day.
const DAY_POINTS: usize = 720;
/// So many points of the hour become one of the day.
const POINTS_AT_ONCE: usize = 12;

/// What was at one time: rates a second, and states, in the order of [`Vitals`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) at_ms: i64,
    pub(crate) values: [f64; SERIES],
}

/// The points of the last hour and day.
#[derive(Debug, Default)]
pub(crate) struct History {
    hour: VecDeque<Point>,
    day: VecDeque<Point>,
    /// What was read last, and when.
    last: Option<(i64, Vitals)>,
    /// How many points have come since the day's last one.
    pending: usize,
}

impl History {
    /// Takes what was read at a time. The first reading gives no point, since there is nothing to compare it with.
    pub(crate) fn sampled(&mut self, at_ms: i64, now: Vitals) {
        let before = self.last.replace((at_ms, now));
        let Some((before_ms, before)) = before else { return };
        let seconds = (at_ms - before_ms) as f64 / 1000.0;
        if seconds <= 0.0 {
            // The clock was set back: what happened meanwhile has no rate.
            return;
        }
        let rate = |of: fn(&Vitals) -> u64| of(&now).saturating_sub(of(&before)) as f64 / seconds;
        let values = [
            rate(|vitals| vitals.records_in),
            rate(|vitals| vitals.bytes_in),
            rate(|vitals| vitals.bytes_out),
            now.log_bytes as f64,
            (now.cpu_seconds - before.cpu_seconds).max(0.0) / seconds,
            now.resident_bytes as f64,
            now.produce_ms,
            now.fetch_ms,
        ];
        push(&mut self.hour, Point { at_ms, values }, HOUR_POINTS);
        self.pending += 1;
        if self.pending == POINTS_AT_ONCE {
            self.pending = 0;
            let point = average(self.hour.iter().rev().take(POINTS_AT_ONCE), at_ms);
            push(&mut self.day, point, DAY_POINTS);
        }
    }

    /// The points of the last hour.
    pub(crate) fn hour(&self) -> Vec<Point> {
        self.hour.iter().copied().collect()
    }

    /// The points of the last day.
    pub(crate) fn day(&self) -> Vec<Point> {
        self.day.iter().copied().collect()
    }
}

fn push(ring: &mut VecDeque<Point>, point: Point, points_max: usize) {
    if ring.len() == points_max {
        ring.pop_front();
    }
    ring.push_back(point);
}

fn average<'a>(points: impl Iterator<Item = &'a Point>, at_ms: i64) -> Point {
    let (mut sums, mut count) = ([0.0; SERIES], 0.0_f64);
    for point in points {
        count += 1.0;
        sums.iter_mut().zip(point.values).for_each(|(sum, value)| *sum += value);
    }
    Point { at_ms, values: sums.map(|sum| sum / count.max(1.0)) }
}

/// Reads a node's counters again and again, until the node stops or nobody keeps the history any more.
pub(crate) async fn keep(history: Weak<Mutex<History>>, source: VitalsSource) {
    loop {
        let read = Arc::clone(&source.0);
        // Whoever asks for the numbers walks over all partitions.
        let Ok(Some(vitals)) = task::blocking(move || read()).await else { return };
        let Some(history) = history.upgrade() else { return };
        history.lock().sampled(wall_clock_ms(), vitals);
        drop(history);
        sleep(SAMPLE_TIME).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals(records_in: u64) -> Vitals {
        Vitals { records_in, log_bytes: 7, ..Vitals::default() }
    }

    #[test]
    fn counters_become_rates_and_states_stay() {
        let mut history = History::default();
        history.sampled(0, vitals(100));
        assert!(history.hour().is_empty());
        history.sampled(10_000, vitals(150));
        assert_eq!(history.hour()[0].values[..4], [5.0, 0.0, 0.0, 7.0]);
        history.sampled(5_000, vitals(160));
        history.sampled(15_000, vitals(100));
        assert_eq!(history.hour().len(), 2, "a clock that was set back gives no point");
        assert_eq!(history.hour()[1].values[0], 0.0, "a counter that fell gives no negative rate");
    }

    #[test]
    fn rings_stay_as_large_as_they_are() {
        let mut history = History::default();
        for n in 0..20_000_i64 {
            history.sampled(n * 10_000, vitals(u64::try_from(n * 20).expect("a count")));
        }
        assert_eq!((history.hour().len(), history.day().len()), (HOUR_POINTS, DAY_POINTS));
        assert!(history.day().iter().all(|point| point.values[0] == 2.0));
        let bytes = (HOUR_POINTS + DAY_POINTS) * size_of::<Point>();
        assert!(bytes <= 78_000, "{bytes}");
    }
}
