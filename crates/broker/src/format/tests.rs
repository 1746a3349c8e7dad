use std::path::PathBuf;

use thalweg_base::properties;

use super::*;

/// What Apache Kafka 4.3.1 wrote when it formatted a node with `--standalone`.
const KAFKA_BOOTSTRAP: &[u8] = include_bytes!("testdata/bootstrap.checkpoint");
const KAFKA_FIRST_SNAPSHOT: &[u8] = include_bytes!("testdata/00000000000000000000-0000000000.checkpoint");
const KAFKA_META_PROPERTIES: &str = include_str!("testdata/meta.properties");

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let unique = thalweg_sys::random::u64();
        Self(fs::temp_dir().join(format!("thalweg-format-{unique:016x}")))
    }

    fn config(&self, more: &str) -> NodeConfig {
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:19393\n\
             listeners=PLAINTEXT://127.0.0.1:19392,CONTROLLER://127.0.0.1:19393\nlog.dirs={0}/a,{0}/b\n{more}",
            self.0.display()
        );
        NodeConfig::for_formatting(&properties::parse(&text)).expect("a valid configuration")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NOW: Timestamp = Timestamp(1_795_365_906_653);

fn standalone(cluster_id: &str) -> FormatRequest {
    FormatRequest::new(cluster_id, FirstVoters::Standalone)
}

/// The same bytes with other timestamps: times stand in the head of each batch, and once in a snapshot's header.
fn without_times(bytes: &[u8]) -> Vec<(i64, i32, Vec<u8>)> {
    let batches = thalweg_records::batches(Bytes::copy_from_slice(bytes));
    let shown = |batch: thalweg_records::BatchView| {
        batch.verify_crc().expect("a whole batch");
        let header = *batch.header();
        let mut body = batch.bytes()[thalweg_records::HEAD..].to_vec();
        if header.attributes.is_control() && header.base_offset.0 == 0 {
            // Length, attributes, deltas, key, value length, version: then the header's timestamp.
            body[12..20].fill(0);
        }
        (header.base_offset.0, i32::from(header.attributes.is_control()) + header.count * 2, body)
    };
    batches.map(|batch| shown(batch.expect("a batch"))).collect()
}

#[test]
fn writes_the_files_that_kafka_writes() {
    let version = MetadataVersion::LATEST;
    let records = bootstrap_records(version, &default_levels(version), &[]);
    let ours = bootstrap::bootstrap_file(&records, version, NOW).expect("encoded");
    assert_eq!(without_times(&ours), without_times(KAFKA_BOOTSTRAP));

    let voters = DynamicVoters::parse("1@127.0.0.1:19393:03410LXzQXGQOojm27crkg").expect("valid voters");
    let ours = bootstrap::first_snapshot(&voters, "controller", 1, NOW).expect("encoded");
    assert_eq!(without_times(&ours), without_times(KAFKA_FIRST_SNAPSHOT));
}

#[test]
fn reads_the_files_that_kafka_writes() {
    let records = read_bootstrap(Bytes::from_static(KAFKA_BOOTSTRAP)).expect("whole");
    let version = MetadataVersion::LATEST;
    assert_eq!(records, bootstrap_records(version, &default_levels(version), &[]));
    assert!(read_bootstrap(Bytes::from_static(&KAFKA_BOOTSTRAP[..400])).is_err());

    let meta = MetaProperties::parse(KAFKA_META_PROPERTIES).expect("valid");
    let id = "03410LXzQXGQOojm27crkg".parse().expect("an id");
    assert_eq!(meta, MetaProperties::new("4L6g3nShT-eMCtK--X86sw", NodeId(1), id));
    assert_eq!(MetaProperties::parse(&meta.to_text()), Ok(meta));
}

#[test]
fn an_empty_directory_is_formatted_at_the_start_and_opened_again() {
    let scratch = Scratch::new();
    let config = scratch.config("");
    let first = open(&config, NOW).expect("formatted");
    assert!(first.formatted);
    assert_eq!(first.directory_ids.len(), 2);
    assert!(fs::exists(&scratch.0.join("a").join(METADATA_LOG).join(FIRST_SNAPSHOT)));
    assert!(!fs::exists(&scratch.0.join("b").join(METADATA_LOG)));
    let again = open(&config, NOW).expect("opened");
    assert_eq!(again, OpenDirectories { formatted: false, ..first });
}

#[test]
fn a_node_with_other_controllers_is_not_formatted_by_itself() {
    for more in [
        "controller.quorum.bootstrap.servers=127.0.0.1:19393,127.0.0.1:19394\n",
        "controller.quorum.voters=1@127.0.0.1:19393,2@127.0.0.1:19394\n",
        "process.roles=broker\nlisteners=PLAINTEXT://127.0.0.1:19392\n",
    ] {
        let scratch = Scratch::new();
        let text = open(&scratch.config(more), NOW).expect_err("refused").to_string();
        assert!(text.ends_with("run `thalweg storage format` first"), "{text}");
        assert!(!fs::exists(&scratch.0));
    }
    let scratch = Scratch::new();
    let alone = scratch.config("controller.quorum.voters=1@127.0.0.1:19393\n");
    assert!(open(&alone, NOW).expect("formatted").formatted);
    assert!(!fs::exists(&scratch.0.join("a").join(METADATA_LOG)), "static voters stand in the configuration");
}

#[test]
fn directories_of_another_node_or_cluster_are_refused() {
    let scratch = Scratch::new();
    format(&scratch.config(""), &standalone("x"), NOW, &mut Vec::new()).expect("formatted");
    let other_cluster = format(&scratch.config(""), &standalone("y"), NOW, &mut Vec::new());
    assert_eq!(
        other_cluster.map_err(|e| e.tool_text()),
        Err(format!(
            "Exception in thread \"main\" java.lang.RuntimeException: Invalid cluster.id in: {}/a/meta.properties. \
             Expected y, but read x",
            scratch.0.display()
        ))
    );
    let other_node = open(&scratch.config("node.id=2\n"), NOW).map_err(|e| e.to_string());
    assert!(other_node.expect_err("refused").starts_with("Stored node id 1 doesn't match previous node id 2 in "));
}

#[test]
fn a_directory_that_is_added_later_has_to_be_formatted() {
    let scratch = Scratch::new();
    format(&scratch.config(""), &standalone("x"), NOW, &mut Vec::new()).expect("formatted");
    let more = scratch.config(&format!("log.dirs={0}/a,{0}/b,{0}/c\n", scratch.0.display()));
    assert!(open(&more, NOW).expect_err("refused").to_string().starts_with("No `meta.properties` found in "));
    let request = FormatRequest { ignore_formatted: true, ..standalone("x") };
    format(&more, &request, NOW, &mut Vec::new()).expect("formatted");
    assert_eq!(open(&more, NOW).expect("opened").directory_ids.len(), 3);
}

#[test]
fn a_directory_that_does_not_say_whose_it_is_is_nobodys() {
    let scratch = Scratch::new();
    format(&scratch.config(""), &standalone("x"), NOW, &mut Vec::new()).expect("formatted");
    let b = scratch.0.join("b");
    for (text, missing) in [("", "node"), ("version=0\ncluster.id=x\n", "node"), ("broker.id=1\n", "cluster")] {
        fs::write(&b.join(META_PROPERTIES), text.as_bytes()).expect("the disk is well");
        let refused = open(&scratch.config(""), NOW).expect_err("refused").to_string();
        assert_eq!(refused, format!("Error: {missing} ID not found in {}", b.display()));
    }
}

#[test]
fn a_metadata_log_in_another_directory_is_refused() {
    let scratch = Scratch::new();
    format(&scratch.config(""), &standalone("x"), NOW, &mut Vec::new()).expect("formatted");
    let moved = scratch.config(&format!("metadata.log.dir={}/b\n", scratch.0.display()));
    assert!(open(&moved, NOW).expect_err("refused").to_string().starts_with("Found unexpected metadata location"));
}

#[test]
fn credentials_stand_behind_the_features_in_every_directory() {
    let scratch = Scratch::new();
    let argument = "SCRAM-SHA-256=[name=alice,password=alice-secret]".to_owned();
    let request = FormatRequest { scram: vec![argument], ..standalone("x") };
    let mut lines = Vec::new();
    format(&scratch.config(""), &request, NOW, &mut lines).expect("formatted");
    assert!(lines[0].contains("ApiMessageAndVersion(UserScramCredentialRecord(name='alice', mechanism=1, salt=["));
    let first = read_bootstrap_file(&scratch.0.join("a")).expect("whole");
    assert_eq!(read_bootstrap_file(&scratch.0.join("b")), Ok(first.clone()));
    let Some((MetadataRecord::UserScramCredential(alice), features)) = first.split_last() else {
        panic!("no credential at the end of {first:?}");
    };
    assert_eq!((&*alice.name, alice.stored_key.len(), alice.server_key.len()), ("alice", 32, 32));
    let version = MetadataVersion::LATEST;
    assert_eq!(features, bootstrap_records(version, &default_levels(version), &[]));
}
