//! The key material in `testdata` was made by keytool and OpenSSL; its passwords are `secret-store` and `secret-key`.

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::distinguished_name;

fn file(name: &str) -> String {
    format!("{}/src/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn settings(entries: &[(&str, &str)]) -> Result<TlsSettings, TlsError> {
    TlsSettings::read(|key| entries.iter().find(|(name, _)| *name == key).map(|(_, text)| (*text).to_owned()))
}

/// What the server learns of a client when both shake hands, or why they do not.
fn shake_hands(server: &TlsSettings, client: &TlsSettings, host: &'static str) -> Result<Option<String>, String> {
    let name = ServerName::try_from(host).map_err(|e| e.to_string())?;
    let mut client = ClientConnection::new(client.client().map_err(|e| e.to_string())?, name).expect("it is a client");
    let mut server = ServerConnection::new(server.server().map_err(|e| e.to_string())?).expect("it is a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory takes it");
        server.read_tls(&mut &wire[..]).expect("memory gives it");
        server.process_new_packets().map_err(|e| e.to_string())?;
        wire.clear();
        server.write_tls(&mut wire).expect("memory takes it");
        client.read_tls(&mut &wire[..]).expect("memory gives it");
        client.process_new_packets().map_err(|e| e.to_string())?;
    }
    Ok(server.peer_certificates().and_then(|chain| distinguished_name(&chain[0])))
}

fn keystores() -> [Vec<(&'static str, String)>; 3] {
    let text = |text: &str| text.to_owned();
    let pkcs12 = vec![
        ("ssl.keystore.type", text("PKCS12")),
        ("ssl.keystore.location", file("node.p12")),
        ("ssl.keystore.password", text("secret-store")),
        ("ssl.truststore.type", text("PKCS12")),
        ("ssl.truststore.location", file("trust.p12")),
        ("ssl.truststore.password", text("secret-store")),
    ];
    let jks = vec![
        ("ssl.keystore.location", file("node.jks")),
        ("ssl.keystore.password", text("secret-store")),
        ("ssl.key.password", text("secret-key")),
        ("ssl.truststore.location", file("trust.jks")),
        ("ssl.truststore.password", text("secret-store")),
    ];
    let pem = vec![
        ("ssl.keystore.type", text("PEM")),
        ("ssl.keystore.location", file("node.pem")),
        ("ssl.key.password", text("secret-key")),
        ("ssl.truststore.type", text("PEM")),
        ("ssl.truststore.location", file("ca.pem")),
    ];
    [pkcs12, jks, pem]
}

fn with(mut entries: Vec<(&'static str, String)>, more: &[(&'static str, &str)]) -> TlsSettings {
    entries.extend(more.iter().map(|(key, text)| (*key, (*text).to_owned())));
    let entries: Vec<(&str, &str)> = entries.iter().rev().map(|(key, text)| (*key, text.as_str())).collect();
    settings(&entries).expect("they are valid")
}

#[test]
fn keystores_of_keytool_and_pem_files_serve_both_sides() {
    for entries in keystores() {
        let server = with(entries.clone(), &[("ssl.client.auth", "required")]);
        let client = with(entries, &[]);
        let name = shake_hands(&server, &client, "localhost");
        assert_eq!(name, Ok(Some("CN=node,OU=Tests,O=Example\\, Inc.,C=DE".to_owned())));
    }
}

#[test]
fn material_in_the_settings_themselves_is_read() {
    let text = |name: &str| thalweg_sys::fs::read_to_string(file(name).as_ref()).expect("it is there");
    // Encrypted by AES as openssl does it, and by PBE-SHA1-3DES as with -v1.
    for key in ["node.enc.key", "node.3des.key"] {
        let entries = vec![
            ("ssl.keystore.key", text(key)),
            ("ssl.key.password", "secret-key".to_owned()),
            ("ssl.keystore.certificate.chain", text("chain.pem")),
            ("ssl.truststore.certificates", text("ca.pem")),
        ];
        let wrong = with(entries.clone(), &[("ssl.key.password", "another")]);
        assert!(wrong.server().is_err_and(|e| e.to_string().contains("cannot be decrypted")), "{key}");
        let (server, client) = (with(entries.clone(), &[]), with(entries, &[]));
        assert_eq!(shake_hands(&server, &client, "localhost"), Ok(None), "{key}");
    }
}

#[test]
fn the_host_counts_unless_the_client_does_not_ask_for_it() {
    let [entries, ..] = keystores();
    let server = with(entries.clone(), &[]);
    assert!(shake_hands(&server, &with(entries.clone(), &[]), "elsewhere.example").is_err());
    let client = with(entries, &[("ssl.endpoint.identification.algorithm", "")]);
    assert_eq!(shake_hands(&server, &client, "elsewhere.example"), Ok(None));
}

#[test]
fn clients_without_a_certificate_are_refused_where_one_is_required() {
    let [entries, ..] = keystores();
    let trust: Vec<_> = entries.iter().filter(|(key, _)| key.contains("truststore")).cloned().collect();
    let server = |auth| with(entries.clone(), &[("ssl.client.auth", auth)]);
    assert_eq!(shake_hands(&server("requested"), &with(trust.clone(), &[]), "localhost"), Ok(None));
    assert!(shake_hands(&server("required"), &with(trust, &[]), "localhost").is_err());
}

#[test]
fn protocols_and_suites_are_those_that_are_enabled() {
    let [entries, ..] = keystores();
    let suite = |name| [("ssl.enabled.protocols", "TLSv1.2"), ("ssl.cipher.suites", name)];
    let server = with(entries.clone(), &suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    assert_eq!(shake_hands(&server, &with(entries.clone(), &[]), "localhost"), Ok(None));
    let other = with(entries.clone(), &suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"));
    assert!(shake_hands(&server, &other, "localhost").is_err());
    assert!(shake_hands(&server, &with(entries, &[("ssl.enabled.protocols", "TLSv1.3")]), "localhost").is_err());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_setting_and_without_secrets() {
    let refusal = |entries: &[(&str, &str)]| match settings(entries).and_then(|settings| settings.server()) {
        Ok(_) => panic!("it was taken"),
        Err(e) => e.to_string(),
    };
    assert!(refusal(&[("ssl.client.auth", "maybe")]).contains("ssl.client.auth"));
    assert!(refusal(&[("ssl.enabled.protocols", "TLSv1.1")]).contains("ssl.enabled.protocols"));
    assert!(refusal(&[("ssl.cipher.suites", "TLS_NULL_WITH_NULL_NULL")]).contains("ssl.cipher.suites"));
    assert!(refusal(&[]).contains("ssl.keystore.location"));
    for name in ["node.jks", "node.p12"] {
        let why = refusal(&[("ssl.keystore.location", &file(name)), ("ssl.keystore.password", "wrong-guess")]);
        assert!(why.contains(name) && why.contains("password") && !why.contains("wrong-guess"), "{why}");
    }
}

#[test]
fn damaged_keystores_are_refused() {
    for name in ["node.jks", "node.p12"] {
        let whole = thalweg_sys::fs::read(file(name).as_ref()).expect("it is there");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(name);
        for cut in (0..whole.len()).step_by(7) {
            thalweg_sys::fs::write(&path, &whole[..cut]).expect("there is room");
            let entries = [
                ("ssl.keystore.location", path.to_str().expect("it is text")),
                ("ssl.keystore.password", "secret-store"),
                ("ssl.key.password", "secret-key"),
            ];
            let read = settings(&entries).and_then(|settings| settings.server());
            assert!(read.is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_certificate_without_alternative_names_is_for_the_host_of_its_common_name() {
    let (common, authority) = (file("common.pem"), file("common-ca.pem"));
    let server = settings(&[("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &common)]).expect("they are right");
    let trust = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", &*authority)];
    let client = settings(&trust).expect("they are right");
    assert_eq!(shake_hands(&server, &client, "broker.example"), Ok(None));
    let refused = shake_hands(&server, &client, "other.example").expect_err("it is another host");
    assert!(refused.contains("not valid for name"), "{refused}");
    assert!(shake_hands(&server, &client, "127.0.0.1").is_err(), "an address is no common name");
    let unchecked =
        settings(&[trust[0], trust[1], ("ssl.endpoint.identification.algorithm", "")]).expect("they are right");
    assert_eq!(shake_hands(&server, &unchecked, "other.example"), Ok(None));
}

/// `old-node.pem` is of version 1 and signed by `old-ca.pem`, of version 1 too; `old-self.pem` is signed by itself.
#[test]
fn certificates_of_version_1_serve_both_sides() {
    let (node, authority, other) = (file("old-node.pem"), file("old-ca.pem"), file("ca.pem"));
    for version in ["TLSv1.2", "TLSv1.3"] {
        let read = |trusted: &str, more: &[(&str, &str)]| {
            let mut entries = vec![
                ("ssl.keystore.type", "PEM"),
                ("ssl.keystore.location", &*node),
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.location", trusted),
                ("ssl.enabled.protocols", version),
            ];
            entries.extend(more);
            settings(&entries).expect("they are valid")
        };
        let server = read(&authority, &[("ssl.client.auth", "required")]);
        let client = read(&authority, &[]);
        let name = shake_hands(&server, &client, "broker.example");
        assert_eq!(name, Ok(Some("CN=broker.example,O=Old".to_owned())), "{version}");
        let refused = shake_hands(&server, &client, "other.example").expect_err("it is another host");
        assert!(refused.contains("not valid for name"), "{refused}");
        assert!(shake_hands(&server, &read(&other, &[]), "broker.example").is_err_and(|e| e.contains("UnknownIssuer")));
        let strict = read(&other, &[("ssl.client.auth", "required")]);
        assert!(shake_hands(&strict, &client, "broker.example").is_err_and(|e| e.contains("UnknownIssuer")));
    }
}

#[test]
fn a_certificate_of_version_1_that_is_over_forged_or_of_another_key_is_refused() {
    let authority = file("old-ca.pem");
    let trust = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", &*authority)];
    let client = settings(&trust).expect("they are valid");
    for (name, why) in [("old-expired.pem", "Expired"), ("old-forged.pem", "BadSignature")] {
        let location = file(name);
        let keystore = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &*location)];
        let server = settings(&keystore).expect("they are valid");
        let refused = shake_hands(&server, &client, "broker.example").expect_err("it is not to be trusted");
        assert!(refused.contains(why) || refused.to_lowercase().contains("expired"), "{name}: {refused}");
    }
    let location = file("old-other.pem");
    let keystore = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &*location)];
    assert!(settings(&keystore).and_then(|settings| settings.server()).is_err(), "the key is not the certificate's");
}
