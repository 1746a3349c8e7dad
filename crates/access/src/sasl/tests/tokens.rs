use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::super::oauthbearer::SignedTokens;
use super::*;
use crate::jaas::parse_line;

/// A P-256 key of these tests, in PKCS #8.
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZrvROfXZ1KewkYprmJ1Rj2ILmLXuiTdrroqid0m82GKhRANCAAR3sbl8Ql0U1+uTbRT2nn1hCI8Dn0RWCsuQ8D6aUktPW8qjpixZf/+S6xXnxsMRRCpbGbxLhoXDha6xjGf/Gqhz";

/// The time of these tests, in the seconds of JWTs.
const SECONDS: i64 = NOW.0 / 1000;

fn url_safe(bytes: &[u8]) -> String {
    base64::encode(bytes).replace('+', "-").replace('/', "_").replace('=', "")
}

fn unsecured(claims: &Value) -> String {
    format!("{}.{}.", url_safe(b"{\"alg\":\"none\"}"), url_safe(claims.to_string().as_bytes()))
}

fn alice() -> Value {
    json!({ "sub": "alice", "iat": SECONDS - 5, "exp": SECONDS + 60 })
}

fn unsecured_server(options: &str) -> SaslServer {
    let module = parse_line(&format!("OAuthBearerLoginModule required {options};")).expect("valid");
    let tokens = UnsecuredTokens::from_module(&module).expect("valid options");
    Verifier::OAuthBearer(Arc::new(TokenValidator::Unsecured(tokens))).begin(String::new())
}

pub(super) fn server() -> SaslServer {
    unsecured_server("")
}

pub(super) fn client() -> SaslClient {
    SaslClient::oauthbearer(Secret::new(unsecured(&alice())))
}

fn login(server: SaslServer, token: String) -> Result<Authenticated, SaslFailure> {
    play(server, SaslClient::oauthbearer(Secret::new(token))).1
}

fn authenticated(name: &str) -> Result<Authenticated, SaslFailure> {
    let expires_at = Some(Timestamp((SECONDS + 60) * 1000));
    Ok(Authenticated { principal: Principal::user(name), by_token: false, expires_at })
}

fn invalid() -> Result<Authenticated, SaslFailure> {
    Err(SaslFailure::Told(InvalidToken { reason: String::new(), scope: None }.to_json()))
}

#[test]
fn unsecured_tokens_are_checked_as_kafka_checks_them() {
    assert_eq!(login(server(), unsecured(&alice())), authenticated("alice"));
    let changed = |name: &str, value: Value| {
        let mut claims = alice();
        claims[name] = value;
        login(server(), unsecured(&claims))
    };
    assert_eq!(changed("exp", json!(SECONDS)), invalid());
    assert_eq!(changed("exp", Value::Null), invalid());
    assert_eq!(changed("exp", json!("later")), invalid());
    assert_eq!(changed("iat", json!(SECONDS + 1)), invalid());
    assert_eq!(changed("iat", Value::Null), authenticated("alice"));
    assert_eq!(changed("sub", json!("  ")), invalid());
    assert_eq!(changed("sub", json!(7)), invalid());
    let skewed = || unsecured_server("unsecuredValidatorAllowableClockSkewMs=\"3000\"");
    let late = unsecured(&json!({ "sub": "alice", "exp": SECONDS - 2 }));
    assert!(login(skewed(), late).is_ok());
}

#[test]
fn unsecured_tokens_may_need_scopes_and_other_claims() {
    let server =
        || unsecured_server("unsecuredValidatorPrincipalClaimName=user unsecuredValidatorRequiredScope=\"a b\"");
    let claims = |scope: Value| unsecured(&json!({ "user": "bob", "scope": scope, "exp": SECONDS + 60 }));
    assert_eq!(login(server(), claims(json!(["b", "c", "a"]))), authenticated("bob"));
    let insufficient = "{\"status\":\"insufficient_scope\", \"scope\":\"[a, b]\"}";
    assert_eq!(login(server(), claims(json!("a"))), Err(SaslFailure::Told(insufficient.to_owned())));
}

#[test]
fn malformed_tokens_and_messages_are_refused() {
    for token in ["a", "a.b", "a.b.c", "..", "e30.e30.", "bm8.bm8."] {
        assert_eq!(login(server(), token.to_owned()), invalid(), "{token}");
    }
    let token = unsecured(&alice());
    for message in [
        String::new(),
        format!("n,,auth=Bearer {token}\u{1}\u{1}"),
        format!("n,,\u{1}auth=Bearer {token}\u{1}"),
        format!("n,,\u{1}auth=Basic {token}\u{1}\u{1}"),
        "n,,\u{1}auth=Bearer\u{1}\u{1}".to_owned(),
        format!("n,,\u{1}auth=Bearer {token}\u{1}x\u{1}\u{1}"),
        format!("n,x,\u{1}auth=Bearer {token}\u{1}\u{1}"),
        "n,,\u{1}\u{1}".to_owned(),
    ] {
        let result = server().respond(message.as_bytes(), &image(), NOW);
        assert!(matches!(result, Err(SaslFailure::Hidden(_))), "{message:?}: {result:?}");
    }
    let other = format!("n,a=bob,\u{1}auth=Bearer {token}\u{1}traceId=7\u{1}\u{1}");
    let text = "Authentication failed: Client requested an authorization id (bob) that is different from the token's \
                principal name (alice)";
    assert_eq!(server().respond(other.as_bytes(), &image(), NOW), Err(SaslFailure::Told(text.to_owned())));
}

fn key() -> EncodingKey {
    EncodingKey::from_ec_der(&base64::decode(Alphabet::Standard, KEY).expect("base64"))
}

fn signed(claims: &Value) -> String {
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &key()).expect("signed")
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::ES256).expect("a key");
    jwk.common.key_id = Some("one".to_owned());
    serde_json::to_string(&JwkSet { keys: vec![jwk] }).expect("json")
}

fn signed_server(change: impl FnOnce(&mut SignedTokens)) -> SaslServer {
    let mut tokens = SignedTokens::new(&jwks()).expect("a JWKS");
    tokens.audiences = vec!["kafka".to_owned()];
    change(&mut tokens);
    Verifier::OAuthBearer(Arc::new(TokenValidator::Signed(tokens))).begin(String::new())
}

#[test]
fn signed_tokens_are_for_this_cluster_and_by_its_issuer() {
    let claims = |name: &str, value: Value| {
        let mut claims = json!({ "sub": "alice", "iat": SECONDS - 60, "exp": SECONDS + 60, "aud": ["x", "kafka"] });
        claims["iss"] = json!("idp");
        claims[name] = value;
        claims
    };
    let attempt = |name: &str, value: Value| login(signed_server(|_| {}), signed(&claims(name, value)));
    assert_eq!(attempt("x", json!(1)), authenticated("alice"));
    assert_eq!(attempt("aud", json!("kafka")), authenticated("alice"));
    assert_eq!(attempt("aud", json!("other")), invalid());
    assert_eq!(attempt("aud", Value::Null), invalid());
    assert_eq!(attempt("exp", json!(SECONDS - 31)), invalid());
    assert!(attempt("exp", json!(SECONDS - 29)).is_ok(), "within the clock skew");
    assert_eq!(attempt("iat", Value::Null), invalid());
    assert_eq!(attempt("nbf", json!(SECONDS + 31)), invalid());
    let with_issuer = |issuer: &str| {
        let server = signed_server(|tokens| tokens.issuer = Some("idp".to_owned()));
        login(server, signed(&claims("iss", json!(issuer))))
    };
    assert_eq!(with_issuer("idp"), authenticated("alice"));
    assert_eq!(with_issuer("idp2"), invalid());
}

#[test]
fn a_token_that_no_known_key_signed_is_refused() {
    let claims = json!({ "sub": "alice", "iat": SECONDS, "exp": SECONDS + 60, "aud": "kafka" });
    let token = signed(&claims);
    assert_eq!(login(signed_server(|_| {}), token.clone()), authenticated("alice"));
    let mut parts: Vec<&str> = token.split('.').collect();
    let other = url_safe(claims.to_string().replace("alice", "admin").as_bytes());
    parts[1] = &other;
    assert_eq!(login(signed_server(|_| {}), parts.join(".")), invalid());
    assert_eq!(login(signed_server(|_| {}), unsecured(&claims)), invalid(), "an unsigned token");
    // A token that is "signed" with the text of the public key as the secret of an HMAC.
    let secret = EncodingKey::from_secret(jwks().as_bytes()).expect("a secret");
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    assert_eq!(login(signed_server(|_| {}), encode(&header, &claims, &secret).expect("signed")), invalid());
    let unknown = Header { kid: Some("two".to_owned()), ..Header::new(Algorithm::ES256) };
    let unknown = encode(&unknown, &claims, &key()).expect("signed");
    let tokens = SignedTokens::new(&jwks()).expect("a JWKS");
    assert!(!tokens.lacks_key_of(&token) && tokens.lacks_key_of(&unknown));
    assert_eq!(login(signed_server(|_| {}), unknown), invalid());
    assert!(SignedTokens::new("{}").is_err());
}

#[test]
fn a_client_makes_the_token_that_its_options_say() {
    let options = "unsecuredLoginStringClaim_sub=\"alice\" unsecuredLoginListClaim_scope=\",a,b\"";
    let line = format!("org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required {options};");
    let module = crate::jaas::parse_line(&line).expect("a login module");
    let token = crate::sasl::unsecured_token(&module, Timestamp(SECONDS * 1000)).expect("a token");
    assert_eq!(login(server(), token.reveal().to_owned()).map(|client| client.principal), Ok(Principal::user("alice")));
    let nobody = crate::jaas::parse_line("OAuthBearerLoginModule required;").expect("a login module");
    let refused = crate::sasl::unsecured_token(&nobody, Timestamp(0)).expect_err("it names nobody");
    assert_eq!(refused, "it has no unsecuredLoginStringClaim_sub");
}
