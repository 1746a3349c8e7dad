use thalweg_base::Offset;
use thalweg_base::base64::{self, Alphabet};
use thalweg_metadata::MetadataRecord;
use thalweg_wire::messages::{DelegationTokenRecord, UserScramCredentialRecord};

use super::oauthbearer::claims::InvalidToken;
use super::*;
use crate::Secret;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const IMAGE_USERS: [(&str, &str); 2] = [("alice", "alice-secret"), ("b,o=b", "bob-secret")];

mod tokens;

fn image() -> MetadataImage {
    let mut records = Vec::new();
    for (user, password) in IMAGE_USERS {
        for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
            let salted = mechanism.salted_password(password.as_bytes(), b"salty", 4096).expect("a password");
            let keys = mechanism.keys(&salted).expect("keys");
            records.push(MetadataRecord::from(UserScramCredentialRecord {
                name: user.into(),
                mechanism: mechanism.number(),
                salt: b"salty".as_slice().into(),
                stored_key: keys.stored.into(),
                server_key: keys.server.into(),
                iterations: 4096,
            }));
        }
    }
    records.push(MetadataRecord::from(DelegationTokenRecord {
        owner: "User:owner".into(),
        requester: "User:alice".into(),
        renewers: Vec::new(),
        issue_timestamp: NOW.0 - 10,
        max_timestamp: NOW.0 + 1_000_000,
        expiration_timestamp: NOW.0 + 1000,
        token_id: "token-1".into(),
    }));
    let mut image = MetadataImage::default();
    records.iter().for_each(|record| image.replay(record, Offset::ZERO));
    image
}

fn scram_settings() -> Arc<ScramSettings> {
    Arc::new(ScramSettings { decoy_key: Secret::new("decoy"), token_key: Some(Secret::new("token-key")) })
}

fn scram(mechanism: ScramMechanism) -> SaslServer {
    Verifier::Scram(mechanism, scram_settings()).begin("server-nonce".to_owned())
}

fn plain() -> SaslServer {
    let users = [("alice".to_owned(), Secret::new("alice-secret"))];
    Verifier::Plain(Arc::new(PlainUsers::new(users))).begin(String::new())
}

/// Plays an exchange to its end. Returns how many messages the client sent, and the result.
fn play(mut server: SaslServer, mut client: SaslClient) -> (usize, Result<Authenticated, SaslFailure>) {
    let image = image();
    let mut message = client.initial();
    for sent in 1.. {
        let step = match server.respond(&message, &image, NOW) {
            Ok(step) => step,
            Err(failure) => return (sent, Err(failure)),
        };
        let next = client.respond(&step.challenge).expect("the server keeps to the protocol");
        if let Some(authenticated) = step.authenticated {
            assert!(client.is_complete() && next.is_none());
            assert!(server.respond(&message, &image, NOW).is_err(), "the exchange is over");
            return (sent, Ok(authenticated));
        }
        message = next.expect("the client goes on until it is authenticated or refused");
    }
    unreachable!("an exchange ends")
}

fn user(name: &str) -> Authenticated {
    Authenticated { principal: Principal::user(name), by_token: false, expires_at: None }
}

fn login(mechanism: ScramMechanism, name: &str, password: &str) -> (usize, Result<Authenticated, SaslFailure>) {
    play(scram(mechanism), SaslClient::scram(mechanism, name, Secret::new(password), "client-nonce".to_owned()))
}

#[test]
fn names_are_those_of_the_handshake() {
    for name in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
        assert_eq!(SaslMechanism::by_name(name).map(SaslMechanism::name), Some(name));
    }
    assert_eq!(SaslMechanism::by_name("GSSAPI"), None);
}

#[test]
fn plain_takes_the_password_and_refuses_in_kafkas_words() {
    let attempt = |message: &str| plain().respond(message.as_bytes(), &image(), NOW);
    let told = |text: &str| Err(SaslFailure::Told(text.to_owned()));
    let expected = Step { challenge: Vec::new(), authenticated: Some(user("alice")) };
    assert_eq!(attempt("\0alice\0alice-secret"), Ok(expected.clone()));
    assert_eq!(attempt("alice\0alice\0alice-secret"), Ok(expected));
    let invalid = "Authentication failed: Invalid username or password";
    for (message, text) in [
        ("\0alice\0wrong", invalid),
        ("\0nobody\0alice-secret", invalid),
        ("\0\0x", "Authentication failed: username not specified"),
        ("\0alice\0", "Authentication failed: password not specified"),
        ("alice", "Invalid SASL/PLAIN response: expected 3 tokens, got 1"),
        ("\0\0\0\0\0", "Invalid SASL/PLAIN response: expected 3 tokens, got 4"),
        (
            "bob\0alice\0alice-secret",
            "Authentication failed: Client requested an authorization id that is different from username",
        ),
    ] {
        assert_eq!(attempt(message), told(text), "{message:?}");
    }
    let (sent, result) = play(plain(), SaslClient::plain("alice", Secret::new("alice-secret")));
    assert_eq!((sent, result), (1, Ok(user("alice"))));
}

#[test]
fn plain_users_come_from_the_jaas_line() {
    let line = "PlainLoginModule required username=\"admin\" password=\"x\" user_alice=\"alice-secret\" user_b=\"c\";";
    let module = crate::jaas::parse_line(line).expect("valid");
    let expected = [("alice", "alice-secret"), ("b", "c")];
    let expected = expected.map(|(name, password)| (name.to_owned(), Secret::new(password)));
    assert_eq!(PlainUsers::from_module(&module), PlainUsers::new(expected));
}

#[test]
fn scram_takes_what_the_client_proves() {
    for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
        for (name, password) in IMAGE_USERS {
            assert_eq!(login(mechanism, name, password), (2, Ok(user(name))));
            let wrong = (2, Err(SaslFailure::Hidden("Invalid client credentials".to_owned())));
            assert_eq!(login(mechanism, name, "wrong"), wrong);
        }
    }
}

#[test]
fn the_exchange_of_rfc_7677() {
    let client = "rOprNGfwEbeRWgbNEkqO";
    let server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let salt = base64::decode(Alphabet::Standard, "W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let salted = ScramMechanism::Sha256.salted_password(b"pencil", &salt, 4096).expect("a password");
    let keys = ScramMechanism::Sha256.keys(&salted).expect("keys");
    let mut image = MetadataImage::default();
    let record = MetadataRecord::from(UserScramCredentialRecord {
        name: "user".into(),
        mechanism: 1,
        salt: salt.into(),
        stored_key: keys.stored.into(),
        server_key: keys.server.into(),
        iterations: 4096,
    });
    image.replay(&record, Offset::ZERO);
    let mut server = Verifier::Scram(ScramMechanism::Sha256, scram_settings()).begin(server_nonce.to_owned());
    let first = server.respond(format!("n,,n=user,r={client}").as_bytes(), &image, NOW).expect("a challenge");
    let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(String::from_utf8(first.challenge), Ok(expected.to_owned()));
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let step = server.respond(last.as_bytes(), &image, NOW).expect("the proof is right");
    assert_eq!(String::from_utf8(step.challenge), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned()));
    assert_eq!(step.authenticated, Some(user("user")));
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let known = login(ScramMechanism::Sha256, "alice", "wrong");
    assert_eq!(login(ScramMechanism::Sha256, "nobody", "wrong"), known);
    let challenge = |name: &str| {
        let message = format!("n,,n={name},r=abc");
        scram(ScramMechanism::Sha256).respond(message.as_bytes(), &image(), NOW).expect("a challenge").challenge
    };
    assert_eq!(challenge("nobody"), challenge("nobody"), "the salt of a user does not change");
    assert_ne!(challenge("nobody"), challenge("nobody2"));
    let occasion = Occasion::Authentication;
    let text = known.1.expect_err("refused").client_message(SaslMechanism::Scram(ScramMechanism::Sha256), occasion);
    let expected = "Authentication failed during authentication due to invalid credentials with SASL mechanism \
                    SCRAM-SHA-256";
    assert_eq!(text, expected);
}

#[test]
fn scram_takes_delegation_tokens() {
    let token_login = |id: &str, key: &str| {
        let hmac = token_hmac(&Secret::new(key), id).expect("a key");
        let hmac = Secret::new(base64::encode(&hmac));
        let mechanism = ScramMechanism::Sha512;
        play(scram(mechanism), SaslClient::scram_token(mechanism, id, hmac, "client-nonce".to_owned())).1
    };
    let owner = Authenticated {
        principal: Principal::user("owner"),
        by_token: true,
        expires_at: Some(Timestamp(NOW.0 + 1000)),
    };
    assert_eq!(owner.session_lifetime_ms(NOW, 0), Some(1000));
    assert_eq!(owner.session_lifetime_ms(NOW, 500), Some(500));
    assert_eq!(user("x").session_lifetime_ms(NOW, 0), None);
    assert_eq!(token_login("token-1", "token-key"), Ok(owner));
    assert!(token_login("token-1", "other-key").is_err());
    assert!(token_login("token-2", "token-key").is_err());
    let mut server = scram(ScramMechanism::Sha256);
    let late = Timestamp(NOW.0 + 1000);
    let first = server.respond(b"n,,n=token-1,r=abc,tokenauth=true", &image(), late).expect("a challenge");
    assert_ne!(first.challenge, Vec::<u8>::new(), "an expired token looks like one that never was");
}

#[test]
fn malformed_scram_messages_are_refused() {
    for message in [
        "",
        "n",
        "n,",
        "n,,",
        "y,,n=a,r=b",
        "p=x,,n=a,r=b",
        "n,b=a,n=a,r=b",
        "n,,n=,r=b",
        "n,,n=a,r=",
        "n,,n=a",
        "n,,r=b,n=a",
        "n,,m=,n=a,r=b",
        "n,,n=a=2,r=b",
        "n,,n=a,r=b c",
        "n,,n=a,r=b,",
        "n,,n=a,r=b,x",
        "n,,n=a,r=b,1=2",
        "n,,n=\u{e9},r=b",
    ] {
        let result = scram(ScramMechanism::Sha256).respond(message.as_bytes(), &image(), NOW);
        assert!(matches!(result, Err(SaslFailure::Hidden(_))), "{message}: {result:?}");
    }
    for message in ["n,,m=x,n=alice,r=b", "n,a=alice,n=alice,r=b,x=y", "n,a=b=2Co=3Db,n=b=2Co=3Db,r=z"] {
        let result = scram(ScramMechanism::Sha256).respond(message.as_bytes(), &image(), NOW);
        assert_eq!(result.is_ok(), !message.contains("=2C"), "{message}: {result:?}");
    }
}

/// Splitmix: enough to vary bytes, and the same on every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }

    /// Changes, inserts, removes or repeats a byte; always gives another text.
    fn mutate(&mut self, message: &mut Vec<u8>) {
        let bytes = b",=\0\x01\xff aA1npr+/";
        let before = message.clone();
        while *message == before {
            let at = self.below(message.len() + 1);
            let byte = bytes[self.below(bytes.len())];
            match self.below(4) {
                0 if at < message.len() => message[at] = byte,
                1 if at < message.len() => drop(message.remove(at)),
                2 => message.truncate(at),
                _ => message.insert(at, byte),
            }
        }
    }
}

/// How both sides of an exchange begin.
type Sides = (fn() -> SaslServer, fn() -> SaslClient);

/// Every exchange that a mutation changes is refused or unaffected by it; none panics, and none authenticates another
/// user.
#[test]
fn a_hundred_thousand_mutated_exchanges_are_refused_one_by_one() {
    let image = image();
    let mut seeded = Seeded(7);
    let seeds: [Sides; 3] = [
        (plain, || SaslClient::plain("alice", Secret::new("alice-secret"))),
        (tokens::server, tokens::client),
        // The costly one: hashing is seldom reached.
        (
            || scram(ScramMechanism::Sha256),
            || SaslClient::scram(ScramMechanism::Sha256, "alice", Secret::new("alice-secret"), "abc".to_owned()),
        ),
    ];
    for round in 0..100_000 {
        let (server, client) = seeds[round % seeds.len()];
        let (mut server, client) = (server(), client());
        let mut message = client.initial();
        for _ in 0..=seeded.below(3) {
            seeded.mutate(&mut message);
        }
        let Ok(step) = server.respond(&message, &image, NOW) else { continue };
        if let Some(authenticated) = step.authenticated {
            // Whoever changes an unsecured token changes its user.
            let unsecured = server.mechanism() == SaslMechanism::OAuthBearer;
            assert!(unsecured || &*authenticated.principal.name == "alice", "{message:?}");
            continue;
        }
        let mut proof = format!("c=biws,r=abcserver-nonce,p={}", base64::encode(&[7; 32])).into_bytes();
        seeded.mutate(&mut proof);
        let refused = server.respond(&proof, &image, NOW);
        assert!(!matches!(refused, Ok(Step { authenticated: Some(_), .. })), "{message:?} {proof:?}");
    }
}

#[test]
fn mutated_answers_of_a_server_authenticate_nobody() {
    let mut seeded = Seeded(11);
    let honest = b"r=abcserver-nonce,s=c2FsdHk=,i=4096".to_vec();
    for _ in 0..2000 {
        let mut client =
            SaslClient::scram(ScramMechanism::Sha256, "alice", Secret::new("alice-secret"), "abc".to_owned());
        let mut challenge = honest.clone();
        seeded.mutate(&mut challenge);
        if client.respond(&challenge).is_ok() {
            let mut last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
            seeded.mutate(&mut last);
            assert!(client.respond(&last).is_err() && !client.is_complete());
        }
    }
}

#[test]
fn a_client_does_not_hash_for_ever() {
    let mut client = SaslClient::scram(ScramMechanism::Sha256, "a", Secret::new("b"), "abc".to_owned());
    assert!(client.respond(b"r=abcd,s=c2FsdHk=,i=2000000000").is_err());
    let mut client = SaslClient::scram(ScramMechanism::Sha256, "a", Secret::new("b"), "abc".to_owned());
    assert!(client.respond(b"r=abcd,s=c2FsdHk=,i=1").is_err());
}
