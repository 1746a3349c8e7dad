//! The table of APIs against what Apache Kafka 4.3.1 answered to ApiVersions version 4, in `tests/fixtures`.

use bytes::Bytes;
use thalweg_wire::messages::{ApiVersionsResponse, ResponseHeader, api_versions_response::ApiVersion};
use thalweg_wire::{ApiKey, Reader, Unstable};

/// The answer in a fixture, behind the header that goes before it.
fn answer(hex: &str) -> ApiVersionsResponse {
    let digits = hex.trim().as_bytes();
    let bytes: Bytes =
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let mut r = Reader::new(bytes);
    let header_version = ApiKey::ApiVersions.response_header_version(4);
    assert_eq!(ResponseHeader::decode(&mut r, header_version).unwrap().correlation_id, 7);
    let response = ApiVersionsResponse::decode(&mut r, 4).unwrap();
    assert_eq!((r.remaining(), response.error_code), (0, 0));
    response
}

fn table(serves: fn(ApiKey) -> bool, unstable: Unstable) -> Vec<ApiVersion> {
    let served = ApiKey::ALL.iter().filter(|api| serves(**api));
    let versions = served.map(|api| (api, api.advertised_versions(unstable)));
    versions
        .map(|(api, v)| ApiVersion { api_key: api.code(), min_version: *v.start(), max_version: *v.end() })
        .collect()
}

fn sorted(mut keys: Vec<ApiVersion>) -> Vec<ApiVersion> {
    keys.sort_by_key(|key| key.api_key);
    keys
}

/// Kafka hides the telemetry of clients as long as no reporter on the broker wants it (KIP-714).
fn by_brokers(api: ApiKey) -> bool {
    api.on_broker() && !matches!(api, ApiKey::GetTelemetrySubscriptions | ApiKey::PushTelemetry)
}

#[test]
fn a_broker_advertises_what_kafkas_does() {
    let kafka = sorted(answer(include_str!("../fixtures/api-versions-broker.hex")).api_keys);
    assert_eq!(table(by_brokers, Unstable::Hidden), kafka);
}

#[test]
fn a_broker_with_unstable_apis_advertises_what_kafkas_does() {
    let kafka = sorted(answer(include_str!("../fixtures/api-versions-broker-unstable.hex")).api_keys);
    assert_eq!(table(by_brokers, Unstable::Shown), kafka);
}

#[test]
fn a_controller_advertises_what_kafkas_does() {
    let kafka = sorted(answer(include_str!("../fixtures/api-versions-controller.hex")).api_keys);
    assert_eq!(table(ApiKey::on_controller, Unstable::Hidden), kafka);
}

#[test]
fn keys_are_found_by_their_number() {
    for api in ApiKey::ALL {
        assert_eq!(ApiKey::from_i16(api.code()), Some(*api));
    }
    // Removed in Kafka 4, below and above what there is.
    for unknown in [4, -1, 93] {
        assert_eq!(ApiKey::from_i16(unknown), None);
    }
    assert_eq!((ApiKey::Produce.name(), ApiKey::Produce.valid_versions()), ("Produce", 3..=13));
}

#[test]
fn headers_follow_the_flexible_versions() {
    let headers = |api: ApiKey, v| (api.request_header_version(v), api.response_header_version(v));
    assert_eq!(headers(ApiKey::Metadata, 8), (1, 0));
    assert_eq!(headers(ApiKey::Metadata, 9), (2, 1));
    assert_eq!(headers(ApiKey::ApiVersions, 3), (2, 0));
    assert_eq!(headers(ApiKey::SaslHandshake, 1), (1, 0));
}
