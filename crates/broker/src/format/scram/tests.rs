use super::*;

/// The records of arguments, or what Kafka's tool would print.
fn parse(arguments: &[&str]) -> Result<Vec<UserScramCredentialRecord>, String> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    records(&arguments, MetadataVersion::LATEST).map_err(|e| e.tool_text())
}

fn refusal(config: &str) -> String {
    parse(&[&format!("SCRAM-SHA-256=[{config}]")]).expect_err("refused")
}

fn bytes(base64: &str) -> Bytes {
    base64::decode(Alphabet::Standard, base64).expect("base64").into()
}

/// What `kafka-dump-log.sh` of Apache Kafka 4.3.1 shows of a record in a file that its `kafka-storage.sh` wrote.
fn kafka(name: &str, mechanism: i8, iterations: i32, [salt, stored, server]: [&str; 3]) -> UserScramCredentialRecord {
    UserScramCredentialRecord {
        name: name.into(),
        mechanism,
        salt: bytes(salt),
        stored_key: bytes(stored),
        server_key: bytes(server),
        iterations,
    }
}

#[test]
fn the_keys_are_those_that_kafka_makes() {
    let ours = parse(&[
        "SCRAM-SHA-256=[name=alice,password=alice-secret,salt=MTIzNDU2Nzg5MA==,iterations=4096]",
        "SCRAM-SHA-512=[name=bob,password=\"bob secrét\",salt=MTIzNDU2Nzg5MA,iterations=8192]",
        " SCRAM-SHA-256=[name=carol,saltedpassword=mT0yyUUxnlJaC99HXgRTSYlbuqa4FSGtJCJfTMvjYCE=,salt=QSXCR+Q6sek8bf92]",
        "SCRAM-SHA-512=[name=dave,password=dave-secret,salt=YnRiMHViZGN4ZDVhNXFrY3JwN2FrZG96MA==]",
    ]);
    let alice = [
        "MTIzNDU2Nzg5MA==",
        "w5MMYINGT1vKNrWsTbRrYvDauOpryMyXeYFLX4Q3icI=",
        "LLNML6SvTaaRS7hCE/mlWl8VVS/mIy1k9n3RHafoVpo=",
    ];
    let bob = [
        "MTIzNDU2Nzg5MA==",
        "kgIsXdpxsDULjYIguPcONT3le6nBiIsyheq8C4BaxOjwW1KMmFFdm4tOZJRliSAflUIYfxhkk1CNKVbKIbzOHA==",
        "Plhy3DW7dayNY3Ghp0skPkjfJIseFit+vYddV8QiM9c2mVPaQ+SbkMrSJZ2PJOJAWiZInVg7k9tmxaY7rI27FA==",
    ];
    let carol = [
        "QSXCR+Q6sek8bf92",
        "XTIqoHHo3sscdYxycL07uh8utmHn9fXtjqyDF67CjSU=",
        "Za53R2yENISN7fHL7WUxriFkV7cfbrO3+CtEptMbTPE=",
    ];
    let dave = [
        "YnRiMHViZGN4ZDVhNXFrY3JwN2FrZG96MA==",
        "rMldsiJk9s5DFkxp3ZCZc6LhNe5mSAYLHnu5+ovcRf0pHb4qIwLPelpUo6krwF+QcL3WUEghir8CHwdtrK/Xww==",
        "iP3/VZ5xLy0X5ktXPTe5lW2htyAFd612cFqkUe+oaX/cs6GBSrsgQ3Vd4VcUzqw509Z1KweCsB9STOtqxgmXYg==",
    ];
    let expected = [
        kafka("alice", 1, 4096, alice),
        kafka("bob", 2, 8192, bob),
        kafka("carol", 1, 4096, carol),
        kafka("dave", 2, 4096, dave),
    ];
    assert_eq!(ours.as_deref(), Ok(expected.as_slice()));
}

#[test]
fn the_keys_are_those_of_the_exchange_in_rfc_7677() {
    // Section 3, password `pencil`: with these keys the proofs of both sides come out as they stand there.
    let salt = base64::decode(Alphabet::Standard, "W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let salted = Mechanism::Sha256.salted_password(b"pencil", &salt, 4096).expect("a password");
    let keys = Mechanism::Sha256.keys(&salted).expect("a key");
    assert_eq!(bytes("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="), keys.server);
    assert_eq!(bytes("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="), keys.stored);
}

#[test]
fn a_salt_that_was_not_given_is_random() {
    let argument = "SCRAM-SHA-256=[name=alice,password=alice-secret]";
    let records = parse(&[argument, argument]).expect("two records");
    assert_eq!((records[0].salt.len(), records[0].iterations), (16, 4096));
    assert_ne!(records[0].salt, records[1].salt);
    assert_ne!(records[0].stored_key, records[1].stored_key);
}

#[test]
fn arguments_are_read_as_kafka_reads_them() {
    let one = |config: &str| parse(&[&format!("SCRAM-SHA-256=[{config}]")]).expect("a record").remove(0);
    let plain = one("name=a,password=x,salt=AAAA");
    // Commas at the end, quotes, a plus sign, the later of two values, and a salted password beside a password.
    assert_eq!(one("password=x,salt=AAAA,name=a,,"), plain);
    assert_eq!(one("name=\"a\",salt=\"AAAA\",password=\"x\",iterations=+4096"), plain);
    assert_eq!(one("name=b,name=a,password=x,salt=AAAA,saltedpassword=%"), plain);
    assert_eq!(one("name=,password=x,salt=").name, "");
    assert_ne!(one("name=a,password=\",salt=AAAA").stored_key, plain.stored_key);
}

#[test]
fn refuses_in_the_words_of_kafka() {
    for (config, text) in [
        ("", "No equals sign found in SCRAM component: "),
        (",name=a", "No equals sign found in SCRAM component: "),
        (",", "You must supply 'name' to add-scram"),
        ("name", "No equals sign found in SCRAM component: name"),
        ("password=x", "You must supply 'name' to add-scram"),
        ("name=a,password=x,salt=%%", "Failed to decode given salt: %%"),
        ("name=a,password=x,salt=AB=,iterations=z", "Failed to decode given salt: AB="),
        ("name=a,iterations=z", "Failed to parse iterations count: z"),
        ("name=a,iterations=1", "You must supply one of 'password' or 'saltedpassword' to add-scram"),
        ("name=a,saltedpassword=*", "You must supply 'salt' with 'saltedpassword' to add-scram"),
        ("name=a,saltedpassword=*,salt=AAAA,x=1", "Failed to decode given saltedPassword: *"),
        ("name=a,password=x,y=1,x=1,iterations=1", "Unknown SCRAM configurations: x, y"),
        ("name=a,password=,iterations=1", "The 'iterations' value must be >= 4096 for add-scram using SCRAM_SHA_256"),
        (
            "name=a,password=,iterations=16385",
            "The 'iterations' value must be <= 16384 for add-scram using SCRAM_SHA_256",
        ),
        ("name=a,password=", "Exception in thread \"main\" java.lang.IllegalArgumentException: Empty key"),
        (
            "name=a,saltedpassword=,salt=AAAA",
            "Exception in thread \"main\" java.lang.IllegalArgumentException: Empty key",
        ),
    ] {
        assert_eq!(refusal(config), text, "{config}");
    }
    for (argument, text) in [
        ("nonsense", "Failed to find equals sign in SCRAM argument 'nonsense'"),
        ("SCRAM-SHA-1=[]", "The add-scram mechanism SCRAM-SHA-1 is not supported."),
        ("SCRAM-SHA-256=name=a", "Expected configuration string to start with ["),
        ("SCRAM-SHA-256=[name=a", "Expected configuration string to end with ]"),
    ] {
        assert_eq!(parse(&[argument]), Err(text.to_owned()), "{argument}");
    }
    let early = records(&["nonsense".to_owned()], MetadataVersion(10)).map_err(|e| e.tool_text());
    assert_eq!(early, Err("SCRAM is only supported in metadata.version 3.5-IV2 or later.".to_owned()));
    assert_eq!(records(&[], MetadataVersion(10)), Ok(Vec::new()));
}

#[test]
fn a_record_is_shown_as_java_shows_it() {
    let record = kafka("alice", 1, 4096, ["MTI=", "w5M", "AH+A"]);
    assert_eq!(
        text(&record),
        "UserScramCredentialRecord(name='alice', mechanism=1, salt=[49, 50], storedKey=[-61, -109], \
         serverKey=[0, 127, -128], iterations=4096)"
    );
}
