//! `renewed.pem`, `nameless.pem` and `stranger.pem` are signed by themselves; `node.p12` is signed by the authority in `trust.p12`.

use super::*;

fn file(name: &str) -> String {
    format!("{}/src/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn material(keystore: &str, more: &[(&str, &str)], peers: Peers) -> ListenerMaterial {
    let (location, truststore) = (file(keystore), file("trust.p12"));
    let kind = if keystore.ends_with("pem") { "PEM" } else { "PKCS12" };
    let settings = TlsSettings::read(|key| {
        let own = more.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
        let text = own.or(match key {
            "ssl.keystore.location" => Some(location.as_str()),
            "ssl.keystore.type" => Some(kind),
            "ssl.truststore.type" => Some("PKCS12"),
            "ssl.truststore.location" => Some(truststore.as_str()),
            "ssl.keystore.password" | "ssl.truststore.password" => Some("secret-store"),
            "ssl.client.auth" => Some("required"),
            _ => None,
        });
        text.map(str::to_owned)
    });
    ListenerMaterial::read(&settings.expect("they are valid"), peers).expect("the material is good")
}

fn refused(new: &ListenerMaterial, old: &ListenerMaterial) -> String {
    new.replaces(old).expect_err("it may not replace the old").to_string()
}

#[test]
fn material_for_the_same_subject_and_more_names_replaces_what_is_in_use() {
    let old = material("node.p12", &[], Peers::Clients);
    assert!(material("renewed.pem", &[], Peers::Clients).replaces(&old).is_ok());
    assert!(material("node.p12", &[], Peers::Nodes).replaces(&material("node.p12", &[], Peers::Nodes)).is_ok());
}

#[test]
fn another_subject_or_fewer_names_are_refused_unless_they_are_allowed() {
    let old = material("node.p12", &[], Peers::Clients);
    let subject = "OU=Tests, O=Example\\, Inc., C=DE";
    assert_eq!(
        refused(&material("stranger.pem", &[], Peers::Clients), &old),
        format!(
            "Keystore DistinguishedName does not match:  existing={{DN=CN=node, {subject}}}, \
             new={{DN=CN=stranger, {subject}}}"
        )
    );
    assert_eq!(
        refused(&material("nameless.pem", &[], Peers::Clients), &old),
        "Keystore SubjectAltNames do not match:  existing={SAN=[[2, localhost], [7, 127.0.0.1]]}, new={SAN=[]}"
    );
    let subject = [("ssl.allow.dn.changes", "true")];
    assert!(material("stranger.pem", &subject, Peers::Clients).replaces(&old).is_ok());
    let names = [("ssl.allow.san.changes", "true")];
    assert!(material("nameless.pem", &names, Peers::Clients).replaces(&old).is_ok());
}

#[test]
fn nodes_must_trust_each_other_while_some_have_the_new_material_and_some_the_old() {
    let old = material("node.p12", &[], Peers::Nodes);
    let why = refused(&material("renewed.pem", &[], Peers::Nodes), &old);
    assert!(why.starts_with("nodes with the new key material and nodes with the old do not trust each other"), "{why}");
}
