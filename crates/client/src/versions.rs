//! Which version of each API a peer and this client use with each other (KIP-35, KIP-511).

use std::collections::BTreeMap;

use thalweg_wire::messages::ApiVersionsResponse;
use thalweg_wire::{ApiKey, Unstable};

/// The APIs and features that a peer has, from its answer to ApiVersions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersions {
    /// The lowest and the highest version by the API's number. Numbers that this client does not know are kept, since
    /// tools show them.
    apis: BTreeMap<i16, (i16, i16)>,
    features: BTreeMap<String, i16>,
}

impl ApiVersions {
    /// What an answer says.
    #[must_use]
    pub fn new(response: &ApiVersionsResponse) -> Self {
        let api = |api: &thalweg_wire::messages::api_versions_response::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        Self {
            apis: response.api_keys.iter().map(api).collect(),
            features: response
                .finalized_features
                .iter()
                .map(|feature| (feature.name.to_string(), feature.max_version_level))
                .collect(),
        }
    }

    /// The versions that the peer has; `None` if it does not have the API.
    #[must_use]
    pub fn theirs(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.apis.get(&api.code()).copied()
    }

    /// Every API number that the peer has, with its lowest and highest version.
    pub fn all(&self) -> impl Iterator<Item = (i16, (i16, i16))> {
        self.apis.iter().map(|(api, versions)| (*api, *versions))
    }

    /// The highest version that both sides have, without those that may still change; `None` if there is none.
    #[must_use]
    pub fn highest(&self, api: ApiKey) -> Option<i16> {
        self.highest_of(api, i16::MAX)
    }

    /// As [`ApiVersions::highest`], but at most `limit`.
    #[must_use]
    pub fn highest_of(&self, api: ApiKey, limit: i16) -> Option<i16> {
        let (low, high) = self.theirs(api)?;
        let ours = api.valid_versions();
        let high = high.min(*api.advertised_versions(Unstable::Hidden).end()).min(limit);
        (high >= low.max(*ours.start())).then_some(high)
    }

    /// The finalized level of a feature such as `transaction.version`; 0 if the cluster has none (KIP-584).
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_wire::messages::api_versions_response::ApiVersion;

    use super::*;

    fn versions(api: ApiKey, min_version: i16, max_version: i16) -> ApiVersions {
        let api_keys = vec![ApiVersion { api_key: api.code(), min_version, max_version }];
        ApiVersions::new(&ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() })
    }

    #[test]
    fn the_highest_version_that_both_have_is_chosen() {
        assert_eq!(versions(ApiKey::Fetch, 0, 10).highest(ApiKey::Fetch), Some(10));
        assert_eq!(versions(ApiKey::Fetch, 4, 99).highest(ApiKey::Fetch), Some(18));
        assert_eq!(versions(ApiKey::Fetch, 4, 99).highest_of(ApiKey::Fetch, 12), Some(12));
        assert_eq!(versions(ApiKey::Fetch, 0, 3).highest(ApiKey::Fetch), None, "too old");
        assert_eq!(versions(ApiKey::Fetch, 77, 99).highest(ApiKey::Fetch), None, "too new");
        assert_eq!(versions(ApiKey::Fetch, 4, 5).highest(ApiKey::Produce), None, "not there");
    }

    #[test]
    fn a_version_that_may_still_change_is_not_chosen() {
        assert_eq!(versions(ApiKey::InitProducerId, 0, 6).highest(ApiKey::InitProducerId), Some(5));
    }
}
