use super::*;

const LISTENER: &str = "SASL";
const KAFKA: &str = "org.apache.kafka.common.security.oauthbearer";
const HANDLER: &str = "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class";

/// What a listener for tokens checks them with, by these properties.
fn validator(properties: &[(&str, &str)]) -> Result<Arc<TokenValidator>, String> {
    let none = ConfigMap::new();
    let lines = [&[("sasl.enabled.mechanisms", "OAUTHBEARER")], properties].concat();
    let given: ConfigMap = lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let configs = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &given };
    let settings = SaslSettings::read(&Own::new(LISTENER, configs, None), &Secret::new("decoy".to_owned()))?;
    match settings.verifier("OAUTHBEARER") {
        Some(Verifier::OAuthBearer(validator)) => Ok(validator),
        other => panic!("not a verifier of tokens: {other:?}"),
    }
}

/// The address of a file with keys, of which there are none.
fn keys_in(dir: &tempfile::TempDir) -> String {
    let path = dir.path().join("keys.json");
    fs::write(&path, br#"{"keys":[]}"#).expect("a file of keys");
    format!("file:{}", path.display())
}

#[test]
fn settings_of_tokens_may_stand_behind_the_mechanism() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = keys_in(&dir);
    let validator = validator(&[
        ("listener.name.sasl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url", &url),
        ("listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.audience", "kafka"),
        ("listener.name.sasl.sasl.oauthbearer.expected.audience", "of the listener"),
        ("sasl.oauthbearer.expected.issuer", "of the node"),
    ]);
    let Ok(TokenValidator::Signed(checks)) = validator.as_deref() else { panic!("not signed: {validator:?}") };
    assert_eq!(
        (checks.audiences.as_slice(), checks.issuer.as_deref()),
        (&["kafka".to_owned()][..], Some("of the node"))
    );
}

#[test]
fn tokens_are_not_taken_unsigned_where_a_class_was_to_check_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = keys_in(&dir);
    let checks_signatures = format!("{KAFKA}.OAuthBearerValidatorCallbackHandler");
    let of_kafka_3 = format!("{KAFKA}.secured.OAuthBearerValidatorCallbackHandler");
    for class in [&checks_signatures, &of_kafka_3] {
        let why = validator(&[(HANDLER, class)]).expect_err("without keys nothing can be checked");
        assert!(why.contains("sasl.oauthbearer.jwks.endpoint.url"), "{why}");
        let signed = validator(&[(HANDLER, class), (JWKS_URL, &url)]);
        assert!(matches!(signed.as_deref(), Ok(TokenValidator::Signed(_))), "{signed:?}");
    }
    for keys in [&[][..], &[(JWKS_URL, url.as_str())][..]] {
        let properties = [&[(HANDLER, "com.example.Tokens")], keys].concat();
        let why = validator(&properties).expect_err("what the class would check is not known");
        assert!(why.contains("com.example.Tokens"), "{why}");
    }
    let unsecured = format!("{KAFKA}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler");
    for properties in [&[][..], &[(HANDLER, unsecured.as_str())][..]] {
        let unsigned = validator(properties);
        assert!(matches!(unsigned.as_deref(), Ok(TokenValidator::Unsecured(_))), "{unsigned:?}");
    }
}
