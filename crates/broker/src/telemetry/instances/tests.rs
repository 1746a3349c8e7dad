//! Clients come, push too early, fall silent; and all of it by chance.

use super::*;
use crate::telemetry::subscriptions::tests::{client, subscriptions};

const INTERVAL_MS: i64 = 20_000;

fn instances() -> Instances {
    let mut instances = Instances::new(100, 3);
    assert!(instances.subscriptions(subscriptions(&[("s", "metrics", "*"), ("s", "interval.ms", "20000")])));
    instances
}

fn push(subscription_id: i32) -> Push {
    Push { subscription_id, terminating: false, compression: 0, bytes: 10 }
}

/// Client 1 on connection 1, and its subscription.
fn subscribed(instances: &mut Instances, now: i64) -> i32 {
    instances.get(client(1), 1, Moment(now)).expect("it may ask").subscription_id
}

#[test]
fn a_client_may_push_at_once_and_then_once_in_an_interval() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 1000);
    let mut push_at = |now: i64| instances.push(client(1), 1, push(id), Moment(now)).map(|expires| expires.0);
    assert_eq!(push_at(1001), Ok(61_001), "three intervals or a minute");
    assert_eq!(push_at(1002), Err(ErrorCode::ThrottlingQuotaExceeded));
    assert_eq!(push_at(1001 + INTERVAL_MS), Ok(61_001 + INTERVAL_MS));
    assert_eq!(instances.get(client(1), 1, Moment(30_000)), Err(ErrorCode::ThrottlingQuotaExceeded));
    assert_eq!(instances.refused(), Refused { throttled: 2, unknown_subscription: 0 });
}

/// The ids are those that Apache Kafka 4.3.1 gave.
#[test]
fn the_id_of_a_subscription_is_kafkas() {
    let id_of = |configs: &[(&str, &str, &str)]| {
        let mut instances = Instances::new(100, 3);
        instances.subscriptions(subscriptions(configs));
        let instance_id = Uuid(std::array::from_fn(|i| i as u8 + 1));
        let client = Client { instance_id, ..client(1) };
        instances.get(client, 1, Moment(0)).expect("it may ask").subscription_id
    };
    assert_eq!(id_of(&[]).cast_unsigned(), 0xd4c7_5bce);
    let one = [("s", "metrics", "org.apache.kafka.producer."), ("s", "interval.ms", "20000")];
    assert_eq!(id_of(&one).cast_unsigned(), 0x23ae_0b40);
}

#[test]
fn a_push_is_refused_for_what_is_wrong_with_it() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 0);
    let cases = [
        (push(id + 1), ErrorCode::UnknownSubscriptionId),
        (Push { compression: 5, ..push(id) }, ErrorCode::UnsupportedCompressionType),
        (Push { compression: -1, ..push(id) }, ErrorCode::UnsupportedCompressionType),
        (Push { bytes: 101, ..push(id) }, ErrorCode::TelemetryTooLarge),
    ];
    for (interval, (wrong, error)) in (1..).zip(cases) {
        assert_eq!(instances.push(client(1), 1, wrong, Moment(interval * INTERVAL_MS)), Err(error));
    }
    for reserved in [Uuid::ZERO, Uuid::ONE] {
        let nobody = Client { instance_id: reserved, ..client(1) };
        assert_eq!(instances.push(nobody, 2, push(id), Moment(0)), Err(ErrorCode::InvalidRequest));
    }
}

#[test]
fn who_learns_that_its_subscription_is_old_may_ask_at_once() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 0);
    assert_eq!(instances.push(client(1), 1, push(id + 1), Moment(1)), Err(ErrorCode::UnknownSubscriptionId));
    assert!(instances.get(client(1), 1, Moment(2)).is_ok());
    assert!(instances.get(client(1), 1, Moment(3)).is_err(), "once");
}

#[test]
fn other_subscriptions_count_at_once() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 0);
    assert!(!instances.subscriptions(subscriptions(&[("s", "metrics", "*"), ("s", "interval.ms", "20000")])));
    assert!(instances.subscriptions(subscriptions(&[("s", "metrics", "a"), ("s", "interval.ms", "1000")])));
    assert_eq!(instances.push(client(1), 1, push(id), Moment(1)), Err(ErrorCode::UnknownSubscriptionId));
    let other = instances.get(client(1), 1, Moment(2)).expect("it may ask");
    assert_eq!((other.interval_ms, other.metrics), (1000, vec!["a".to_owned()]));
}

#[test]
fn a_client_that_says_goodbye_pushes_once_more_at_any_time_and_is_heard_no_more() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 0);
    assert!(instances.push(client(1), 1, push(id), Moment(1)).is_ok());
    assert!(instances.push(client(1), 1, Push { terminating: true, ..push(id) }, Moment(2)).is_ok());
    assert_eq!(instances.push(client(1), 1, push(id), Moment(3)), Err(ErrorCode::InvalidRequest));
}

#[test]
fn clients_are_forgotten_when_they_are_silent_leave_or_are_too_many() {
    let mut instances = instances();
    for (index, now) in (1..=3).zip([0, 10_000, 20_000]) {
        assert!(instances.get(client(index), u64::from(index), Moment(now)).is_ok());
    }
    instances.expire(Moment(60_000));
    assert_eq!(instances.len(), 2);
    instances.disconnected(2);
    instances.disconnected(9);
    assert_eq!(instances.len(), 1);
    for index in 10..20 {
        assert!(instances.get(client(index), u64::from(index), Moment(60_000)).is_ok());
    }
    assert_eq!(instances.len(), 3);
}

#[test]
fn a_client_that_has_gone_on_over_another_connection_stays() {
    let mut instances = instances();
    let id = subscribed(&mut instances, 0);
    assert!(instances.push(client(1), 2, push(id), Moment(1)).is_ok());
    instances.disconnected(1);
    assert_eq!(instances.len(), 1);
    instances.disconnected(2);
    assert_eq!(instances.len(), 0);
}

/// Numbers by chance, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn no_client_is_heard_more_often_than_it_should_whatever_happens() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let mut instances = Instances::new(100, 4);
        let mut now = 0;
        // When each client was last heard of by a push that counted, and under which subscriptions.
        let mut counted: BTreeMap<u8, (i64, u64)> = BTreeMap::new();
        let (mut ids, mut version) = (BTreeMap::new(), 0);
        for _ in 0..400 {
            now += random.below(9000).cast_signed();
            let who = 1 + random.below(6) as u8;
            let connection = 1 + random.below(8);
            match random.below(10) {
                0 => {
                    let interval = (1000 * (1 + random.below(20))).to_string();
                    let changed = [("s", "metrics", "*"), ("s", "interval.ms", interval.as_str())];
                    version += u64::from(instances.subscriptions(subscriptions(&changed)));
                    // A new subscription begins a new reckoning.
                    counted.clear();
                }
                1 => instances.disconnected(connection),
                2 => instances.expire(Moment(now)),
                3..6 => {
                    if let Ok(subscribed) = instances.get(client(who), connection, Moment(now)) {
                        ids.insert(who, (subscribed.subscription_id, subscribed.interval_ms, version));
                    }
                }
                _ => {
                    let (id, interval, of) = ids.get(&who).copied().unwrap_or((0, 1, version));
                    let before = instances.instances.get(&client(who).instance_id).cloned();
                    let before = before.filter(|known| known.expires > Moment(now));
                    if let Ok(expires) = instances.push(client(who), connection, push(id), Moment(now)) {
                        let (last, of_last) = counted.insert(who, (now, of)).unwrap_or((i64::MIN / 2, of));
                        let asked = before.as_ref().is_none_or(|known| known.last_get > Some(Moment(last)));
                        assert!(now - last >= i64::from(interval) || asked || of != of_last, "seed {seed}");
                        assert!(expires >= Moment(now + 60_000), "seed {seed}");
                    }
                }
            }
            assert!(instances.len() <= 4 && instances.by_use.len() == instances.len(), "seed {seed}");
            assert_eq!(instances.by_connection.len(), instances.len(), "seed {seed}: each is on one connection");
        }
    }
}
