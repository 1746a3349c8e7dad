use bytes::Bytes;
use thalweg_metadata::image::ScramCredential;

use super::*;
use crate::tests::cluster::Cluster;

fn set(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: name.into(),
        mechanism,
        iterations,
        salt: Bytes::from_static(b"salt"),
        salted_password: Bytes::from_static(b"salted password"),
    }
}

fn delete(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion { name: name.into(), mechanism }
}

/// The codes by user; what is possible is done.
fn alter(
    cluster: &mut Cluster,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, ErrorCode)> {
    let request = AlterUserScramCredentialsRequest { deletions, upsertions };
    let outcome = cluster.controller.alter_user_scram_credentials(&cluster.image, &request);
    cluster.replay(&outcome.records);
    let result = |r: &AlterUserScramCredentialsResult| (r.user.to_string(), ErrorCode::from_code(r.error_code));
    outcome.response.results.iter().map(result).collect()
}

#[test]
fn a_credential_is_kept_without_its_password() {
    let mut cluster = Cluster::of(1);
    assert_eq!(alter(&mut cluster, vec![], vec![set("alice", 1, 4096)]), [("alice".to_owned(), ErrorCode::None)]);
    let kept: Option<&ScramCredential> = cluster.image.scram().get(1, "alice");
    assert_eq!(kept.map(|c| (c.iterations, c.stored_key.len(), c.server_key.len())), Some((4096, 32, 32)));
    assert_eq!(alter(&mut cluster, vec![delete("alice", 1)], vec![]), [("alice".to_owned(), ErrorCode::None)]);
    assert_eq!(cluster.image.scram().get(1, "alice"), None);
}

#[test]
fn what_is_wrong_with_a_credential_is_said_by_user() {
    let mut cluster = Cluster::of(1);
    let cases = [
        (set("", 1, 4096), ErrorCode::UnacceptableCredential),
        (set("a", 3, 4096), ErrorCode::UnsupportedSaslMechanism),
        (set("a", 1, 4095), ErrorCode::UnacceptableCredential),
        (set("a", 2, 16385), ErrorCode::UnacceptableCredential),
    ];
    for (upsertion, code) in cases {
        let name = upsertion.name.to_string();
        assert_eq!(alter(&mut cluster, vec![], vec![upsertion]), [(name, code)]);
    }
    assert_eq!(alter(&mut cluster, vec![delete("a", 1)], vec![]), [("a".to_owned(), ErrorCode::ResourceNotFound)]);
}

#[test]
fn who_is_named_twice_keeps_what_there_is() {
    let mut cluster = Cluster::of(1);
    let twice = vec![set("a", 1, 4096), set("b", 1, 4096), set("a", 2, 4096)];
    let expected = [("b".to_owned(), ErrorCode::None), ("a".to_owned(), ErrorCode::DuplicateResource)];
    assert_eq!(alter(&mut cluster, vec![], twice), expected);
    assert_eq!(cluster.image.scram().get(1, "a"), None);
    let both = alter(&mut cluster, vec![delete("b", 1)], vec![set("b", 1, 8192)]);
    assert_eq!(both, [("b".to_owned(), ErrorCode::DuplicateResource)]);
    assert_eq!(cluster.image.scram().get(1, "b").map(|c| c.iterations), Some(4096));
}
