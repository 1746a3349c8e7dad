//! How fast numbers have grown lately.

use std::collections::BTreeMap;

use thalweg_base::Moment;
use thalweg_sys::time::Duration;

/// A rate is over at least so long: readers that come together see the same.
const SPAN_MIN: Duration = Duration::from_secs(5);

/// The numbers by name.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<String, Measured>);

/// A number when it was looked at last, and how fast it had grown until then.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Moment,
    count: f64,
    per_second: f64,
}

impl Rates {
    /// How fast a number has grown since it was last asked for, by the second: zero the first time.
    pub(crate) fn rate(&mut self, name: &str, count: f64, now: Moment) -> f64 {
        let Some(measured) = self.0.get_mut(name) else {
            self.0.insert(name.to_owned(), Measured { at: now, count, per_second: 0.0 });
            return 0.0;
        };
        let span = now.since(measured.at);
        if span >= SPAN_MIN {
            let per_second = (count - measured.count) / span.as_secs_f64();
            *measured = Measured { at: now, count, per_second };
        }
        measured.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_time_since_it_was_last_looked_at() {
        let mut rates = Rates::default();
        assert_eq!(rates.rate("a", 100.0, Moment(0)), 0.0);
        assert_eq!(rates.rate("a", 200.0, Moment(10_000)), 10.0);
        assert_eq!(rates.rate("a", 999.0, Moment(10_001)), 10.0, "too soon for another");
        assert_eq!(rates.rate("b", 5.0, Moment(10_001)), 0.0);
        assert_eq!(rates.rate("a", 1200.0, Moment(20_000)), 100.0);
    }
}
