use thalweg_wire::messages::create_delegation_token_request::CreatableRenewers;

use super::*;
use crate::tests::cluster::Cluster;

fn user(name: &str) -> Principal {
    Principal { kind: "User".into(), name: name.to_owned().into() }
}

/// A cluster whose tokens last an hour and are prolonged by a minute.
fn cluster() -> Cluster {
    let mut cluster = Cluster::of(1);
    let mut settings = cluster.controller.settings().clone();
    settings.tokens = TokenSettings { secret: Some("secret".into()), lifetime_max_ms: 3_600_000, renewal_ms: 60_000 };
    cluster.controller = Controller::new(settings);
    cluster
}

fn create(cluster: &mut Cluster, now: i64, renewers: &[&str]) -> CreateDelegationTokenResponse {
    let renewer =
        |name: &&str| CreatableRenewers { principal_type: "User".into(), principal_name: (*name).to_owned().into() };
    let request =
        CreateDelegationTokenRequest { renewers: renewers.iter().map(renewer).collect(), ..Default::default() };
    let created =
        cluster.controller.create_delegation_token(&cluster.image, &mut || 7, &user("alice"), Timestamp(now), &request);
    cluster.replay(&created.records);
    created.response
}

fn renew(cluster: &Cluster, who: &str, now: i64, hmac: &bytes::Bytes) -> (i16, i64) {
    let request = RenewDelegationTokenRequest { hmac: hmac.clone(), renew_period_ms: -1 };
    let renewed =
        cluster.controller.renew_delegation_token(&cluster.image, &user(who), Timestamp(now), &request).response;
    (renewed.error_code, renewed.expiry_timestamp_ms)
}

#[test]
fn without_a_secret_there_are_no_tokens() {
    let mut cluster = Cluster::of(1);
    let refused = create(&mut cluster, 1000, &[]);
    assert_eq!(refused.error_code, ErrorCode::DelegationTokenAuthDisabled.code());
    assert_eq!((&*refused.principal_name, &*refused.token_id), ("alice", ""));
    assert_eq!(renew(&cluster, "alice", 1000, &refused.hmac).0, ErrorCode::DelegationTokenAuthDisabled.code());
}

#[test]
fn owners_and_renewers_prolong_a_token_within_its_lifetime() {
    let mut cluster = cluster();
    let token = create(&mut cluster, 1000, &["bob"]);
    assert_eq!((token.error_code, token.expiry_timestamp_ms, token.max_timestamp_ms), (0, 61_000, 3_601_000));
    assert_eq!(renew(&cluster, "bob", 2000, &token.hmac), (0, 62_000));
    let mismatch = ErrorCode::DelegationTokenOwnerMismatch.code();
    assert_eq!(renew(&cluster, "carol", 2000, &token.hmac), (mismatch, 0));
    assert_eq!(renew(&cluster, "alice", 61_001, &token.hmac), (ErrorCode::DelegationTokenExpired.code(), 0));
    let unknown = bytes::Bytes::from_static(b"guess");
    assert_eq!(renew(&cluster, "alice", 2000, &unknown), (ErrorCode::DelegationTokenNotFound.code(), 0));
}

#[test]
fn a_token_ends_at_once_when_its_owner_says_so_and_is_removed_when_its_time_is_over() {
    let mut cluster = cluster();
    let token = create(&mut cluster, 1000, &[]);
    assert_eq!(cluster.controller.remove_expired_tokens(&cluster.image, Timestamp(61_000)), []);
    assert_eq!(cluster.controller.remove_expired_tokens(&cluster.image, Timestamp(61_001)).len(), 1);
    let request = ExpireDelegationTokenRequest { hmac: token.hmac, expiry_time_period_ms: -1 };
    let expired = cluster.controller.expire_delegation_token(&cluster.image, &user("alice"), Timestamp(5000), &request);
    assert_eq!((expired.response.error_code, expired.response.expiry_timestamp_ms), (0, 5000));
    cluster.replay(&expired.records);
    assert_eq!(cluster.image.delegation_tokens().iter().count(), 0);
}
