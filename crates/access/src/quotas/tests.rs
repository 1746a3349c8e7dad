use thalweg_base::Offset;
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::messages::ClientQuotaRecord;
use thalweg_wire::messages::client_quota_record::EntityData;

use super::*;

/// Kafka's defaults: 11 windows of a second.
const WINDOWS: Windows = Windows { count: 11, size_ms: 1000 };

/// An entity: `user=alice client-id=*`, where the star is the default.
fn image(quotas: &[(&str, &str, f64)]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (entity, key, value) in quotas {
        let part = |text: &str| {
            let (kind, name) = text.split_once('=').expect("a part");
            EntityData { entity_type: kind.into(), entity_name: (name != "*").then(|| name.into()) }
        };
        let entity = entity.split(' ').map(part).collect();
        let record = ClientQuotaRecord { entity, key: (*key).into(), value: *value, remove: false };
        image.replay(&MetadataRecord::from(record), Offset::ZERO);
    }
    image
}

fn quotas(list: &[(&str, &str, f64)]) -> Quotas {
    let mut quotas = Quotas::new(WINDOWS);
    quotas.set_limits(image(list).client_quotas());
    quotas
}

#[test]
fn the_most_specific_quota_counts() {
    let all = [
        ("user=alice client-id=c", 1.0),
        ("user=alice client-id=*", 2.0),
        ("user=alice", 3.0),
        ("user=* client-id=c", 4.0),
        ("user=* client-id=*", 5.0),
        ("user=*", 6.0),
        ("client-id=c", 7.0),
        ("client-id=*", 8.0),
    ];
    let find = |from: usize, user: &str, client: &str| {
        let list: Vec<_> = all[from..].iter().map(|(entity, rate)| (*entity, "producer_byte_rate", *rate)).collect();
        let limits = Limits::of(image(&list).client_quotas(), "producer_byte_rate");
        limits
            .find(user, client)
            .map(|limit| (limit.rate, limit.measured.user.is_some(), limit.measured.client_id.is_some()))
    };
    let measured =
        [(true, true), (true, true), (true, false), (true, true), (true, true), (true, false), (false, true)];
    for (at, (user, client)) in measured.into_iter().enumerate() {
        assert_eq!(find(at, "alice", "c"), Some((all[at].1, user, client)), "{}", all[at].0);
    }
    assert_eq!(find(7, "alice", "c"), Some((8.0, false, true)));
    assert_eq!(find(8, "alice", "c"), None);
    assert_eq!(find(0, "bob", "d"), Some((5.0, true, true)));
    assert_eq!(find(0, "alice", "d"), Some((2.0, true, true)));
    assert_eq!(find(5, "bob", "c"), Some((6.0, true, false)));
}

#[test]
fn a_client_that_exceeds_its_rate_waits_until_it_is_within_it() {
    let mut quotas = quotas(&[("user=alice", "producer_byte_rate", 1000.0)]);
    // Ten seconds are given in advance: the rate is that of ten full windows.
    assert_eq!(quotas.record(QuotaKind::Produce, "alice", "c", 10_000.0, Moment(0)), 0);
    assert_eq!(quotas.record(QuotaKind::Produce, "alice", "d", 2000.0, Moment(0)), 2000);
    assert_eq!(quotas.record(QuotaKind::Produce, "bob", "c", 1e9, Moment(0)), 0);
    assert_eq!(quotas.record(QuotaKind::Fetch, "alice", "c", 1e9, Moment(0)), 0);
    // Full windows replace those that were given in advance: as in Kafka, the average sinks within a window only.
    assert_eq!(quotas.record(QuotaKind::Produce, "alice", "c", 0.0, Moment(2500)), 1500);
    // When the windows are over, all of it is forgotten.
    assert_eq!(quotas.record(QuotaKind::Produce, "alice", "c", 10_000.0, Moment(11_000)), 0);
}

#[test]
fn a_steady_client_gets_its_rate() {
    let mut quotas = quotas(&[("client-id=*", "producer_byte_rate", 1_000_000.0)]);
    let (mut now, mut sent) = (0, 0.0);
    // Batches of 16 KiB as fast as it may, each after the wait that the one before brought. The windows are full after a
    // while; from then on ten rounds of them are measured.
    let measured = 33_000..143_000;
    while now < measured.end {
        let wait = quotas.record(QuotaKind::Produce, "u", "greedy", 16_384.0, Moment(now));
        if measured.contains(&now) {
            sent += 16_384.0;
        }
        now += i64::from(wait).max(1);
        assert_eq!(quotas.record(QuotaKind::Produce, "u", "modest", 10.0, Moment(now)), 0);
    }
    let rate = sent / 110.0;
    assert!((950_000.0..=1_050_000.0).contains(&rate), "{rate}");
}

#[test]
fn what_was_recorded_can_be_taken_back() {
    let mut quotas = quotas(&[("user=alice", "consumer_byte_rate", 100.0)]);
    assert_eq!(quotas.most_at_once(QuotaKind::Fetch, "alice", "c"), Some(1000.0));
    assert!(quotas.record(QuotaKind::Fetch, "alice", "c", 5000.0, Moment(0)) > 0);
    quotas.unrecord(QuotaKind::Fetch, "alice", "c", 5000.0, Moment(0));
    assert_eq!(quotas.record(QuotaKind::Fetch, "alice", "c", 0.0, Moment(0)), 0);
}

#[test]
fn nobody_waits_longer_than_a_window_for_a_processor() {
    let mut quotas = quotas(&[("user=alice", "request_percentage", 1.0)]);
    assert_eq!(quotas.record(QuotaKind::Request, "alice", "c", 5000.0, Moment(0)), 1000);
}

#[test]
fn without_quotas_nothing_is_measured() {
    let mut quotas = quotas(&[("ip=127.0.0.1", "connection_creation_rate", 1.0)]);
    assert!(quotas.is_idle());
    assert_eq!(quotas.record(QuotaKind::Produce, "alice", "c", 1e12, Moment(0)), 0);
    assert_eq!(quotas.rates(Moment(0)), []);
    quotas.set_limits(image(&[("user=*", "producer_byte_rate", 1000.0)]).client_quotas());
    quotas.record(QuotaKind::Produce, "alice", "c", 10_000.0, Moment(5));
    quotas.throttled(QuotaKind::Produce, "alice", "c", 7);
    let measured = Measured { user: Some("alice".into()), client_id: None };
    let rate = Rate { kind: QuotaKind::Produce, measured, rate: 1000.0, throttled_ms: 7 };
    assert_eq!(quotas.rates(Moment(5)), [rate]);
    quotas.set_limits(image(&[]).client_quotas());
    assert!(quotas.is_idle() && quotas.rates(Moment(5)).is_empty());
}
