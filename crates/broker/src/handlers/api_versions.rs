//! ApiVersions: what this node serves (KIP-35, KIP-511) and which features the cluster has agreed on (KIP-584).

use thalweg_metadata::feature;
use thalweg_network::ListenerType;
use thalweg_wire::messages::ApiVersionsRequest;
use thalweg_wire::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use thalweg_wire::{ApiKey, ErrorCode, Unstable};

use crate::call::Call;

/// `shown` are the APIs that the listener serves and advertises, in the order of their keys.
pub(crate) fn handle(
    call: &Call,
    request: ApiVersionsRequest,
    shown: impl Iterator<Item = ApiKey>,
) -> ApiVersionsResponse {
    let software = [&request.client_software_name, &request.client_software_version];
    if call.version >= 3 && !software.into_iter().all(|text| is_software_name(text)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..ApiVersionsResponse::default() };
    }
    if call.version >= 3 {
        let [name, version] = software.map(|text| (&**text).into());
        call.origin.introduced(name, version);
    }
    let image = call.broker.image();
    // The quorum keeps its own feature; at level 0 it counts as not finalized, as every other does.
    let kraft = (feature::KRAFT_VERSION.name, call.broker.metadata.quorum().kraft_version);
    let levels = image.features().iter().chain(Some(kraft).filter(|(_, level)| *level > 0));
    let finalized = levels.map(|(name, level)| FinalizedFeatureKey {
        name: name.into(),
        max_version_level: level,
        min_version_level: level,
    });
    // Before version 4 a lowest level of 0 could not be told: clients took it for a mistake (KAFKA-17011).
    let config = &call.broker.config;
    let supported = feature::supported_ranges(shown_features(call));
    let supported = supported.into_iter().filter(|(_, min, _)| call.version >= 4 || *min > 0);
    ApiVersionsResponse {
        api_keys: api_keys(shown, config.unstable_apis),
        supported_features: supported
            .map(|(name, min_version, max_version)| SupportedFeatureKey { name: name.into(), min_version, max_version })
            .collect(),
        finalized_features_epoch: image.provenance().offset.0,
        finalized_features: finalized.collect(),
        ..ApiVersionsResponse::default()
    }
}

/// Whether levels of features that are not stable are shown. A controller listener goes by the setting for APIs, as Kafka's.
fn shown_features(call: &Call) -> Unstable {
    match call.listener_type {
        ListenerType::Broker => call.broker.config.unstable_features,
        ListenerType::Controller => call.broker.config.unstable_apis,
    }
}

/// The answer, at version 0, to a version that this node does not know.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![advertised(ApiKey::ApiVersions, Unstable::Hidden)],
        ..ApiVersionsResponse::default()
    }
}

/// What is advertised of the APIs `shown`.
pub(crate) fn api_keys(shown: impl Iterator<Item = ApiKey>, unstable: Unstable) -> Vec<ApiVersion> {
    shown.map(|key| advertised(key, unstable)).collect()
}

fn advertised(key: ApiKey, unstable: Unstable) -> ApiVersion {
    let versions = key.advertised_versions(unstable);
    ApiVersion { api_key: key.code(), min_version: *versions.start(), max_version: *versions.end() }
}

/// Letters, digits, dots and dashes, beginning and ending with a letter or digit (KIP-511).
fn is_software_name(text: &str) -> bool {
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_checked() {
        assert!(is_software_name("apache-kafka-java") && is_software_name("4.3.1") && is_software_name("x"));
        assert!(
            !is_software_name("") && !is_software_name("-x") && !is_software_name("a b") && !is_software_name("x.")
        );
    }
}
