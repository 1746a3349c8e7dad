//! The rates at which throttled replicas are copied, as leader and as follower (KIP-73).

use parking_lot::Mutex;
use thalweg_base::Moment;
use thalweg_metadata::config::BrokerConfigs;
use thalweg_replica::Throttle;
use thalweg_sys::time::Duration;

use super::settings::value;

/// The node's two throttles.
#[derive(Debug)]
pub(crate) struct Throttles {
    /// What followers of throttled partitions fetch from this node.
    leader: Mutex<Throttle>,
    /// What this node fetches of throttled partitions.
    follower: Mutex<Throttle>,
}

impl Throttles {
    pub(crate) fn new(broker: &BrokerConfigs<'_>) -> Self {
        let whole = |name| value(broker, name).and_then(|value| value.as_i64()).unwrap_or(1);
        let samples = usize::try_from(whole("replication.quota.window.num")).unwrap_or(1);
        let seconds = u64::try_from(whole("replication.quota.window.size.seconds")).unwrap_or(1);
        let throttle = || Mutex::new(Throttle::new(samples, Duration::from_secs(seconds)));
        let throttles = Self { leader: throttle(), follower: throttle() };
        throttles.configure(broker);
        throttles
    }

    /// The broker's configuration has changed.
    pub(super) fn configure(&self, broker: &BrokerConfigs<'_>) {
        let rate = |name| {
            let rate = value(broker, name).and_then(|rate| rate.as_i64()).unwrap_or(i64::MAX);
            // Kafka's default stands for no limit.
            u64::try_from(rate).ok().filter(|rate| *rate < i64::MAX.unsigned_abs()).unwrap_or(u64::MAX)
        };
        self.leader.lock().set_rate(rate("leader.replication.throttled.rate"));
        self.follower.lock().set_rate(rate("follower.replication.throttled.rate"));
    }

    /// So many bytes of a throttled partition were sent to a follower.
    pub(crate) fn sent(&self, bytes: usize, now: Moment) {
        self.leader.lock().record(bytes as u64, now);
    }

    /// Whether too much was sent.
    pub(super) fn has_sent_too_much(&self, now: Moment) -> bool {
        self.leader.lock().is_exceeded(now)
    }

    /// So many bytes of a throttled partition were fetched. Gives the moment until which nothing of it is to be fetched,
    /// if that was too much.
    pub(super) fn fetched(&self, bytes: usize, now: Moment) -> Option<Moment> {
        let mut follower = self.follower.lock();
        follower.record(bytes as u64, now);
        follower.is_exceeded(now).then(|| now.after(follower.sample()))
    }
}
