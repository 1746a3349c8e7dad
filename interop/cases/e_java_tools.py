"""Kafka's own command line tools, from the jars of Kafka 4.3.1."""

import re

from harness.case import case, contains, equal, eventually, expect

from .dump import check_indexes, dump, dump_log


def console_consume(it, topic, *arguments, count=None, **options):
    """The console consumer, on one partition; the lines of its output."""
    limit = ["--max-messages", count] if count is not None else ["--timeout-ms", 8000]
    if "--partition" not in arguments:
        arguments = (*arguments, "--partition", 0)
    out = it.java("kafka-console-consumer.sh", "--bootstrap-server", it.bootstrap, "--topic", topic, *limit, *arguments, **options)
    return out.splitlines()


def get_offsets(it, topic, *arguments):
    out = it.java("kafka-get-offsets.sh", "--bootstrap-server", it.bootstrap, "--topic", topic, *arguments)
    return out.split()


@case("java/kafka_topics_create_list_describe_alter_delete")
def topics(it):
    name = it.new_name()

    def tool(*arguments, **options):
        return it.java("kafka-topics.sh", "--bootstrap-server", it.bootstrap, *arguments, **options)

    created = tool("--create", "--topic", name, "--partitions", 3, "--config", "segment.bytes=1048576")
    equal(created, f"Created topic {name}.\n", "created")
    again = tool("--create", "--topic", name, code=1)
    contains(again, f"Error while executing topic command : Topic '{name}' already exists.", "the same topic again")
    tool("--alter", "--topic", name, "--partitions", 4)
    lines = tool("--describe", "--topic", name).splitlines()
    head = re.match(r"Topic: (\S+)\tTopicId: (\S{22})\tPartitionCount: 4\tReplicationFactor: 1\tConfigs: (\S+)$", lines[0])
    expect(head, f"the first line of --describe is {lines[0]!r}")
    contains(head.group(3), "segment.bytes=1048576", "configs")
    wanted = [f"\tTopic: {name}\tPartition: {p}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: " for p in range(4)]
    equal(lines[1:], wanted, "partitions")
    fewer = tool("--alter", "--topic", name, "--partitions", 2, code=1)
    contains(fewer, f"The topic {name} currently has 4 partition(s); 2 would not be an increase.", "fewer partitions")
    contains(tool("--list").split(), name, "--list")
    equal(tool("--delete", "--topic", name), "", "--delete")
    eventually(lambda: name not in tool("--list").split(), "deleted")


@case("java/kafka_topics_refusals")
def topic_refusals(it):
    def tool(*arguments):
        return it.java("kafka-topics.sh", "--bootstrap-server", it.bootstrap, "--create", *arguments, code=1)

    contains(tool("--topic", it.new_name(), "--config", "no.such=1"), "Unknown topic config name: no.such", "an unknown config")
    contains(tool("--topic", it.new_name(), "--config", "segment.bytes=1"), "segment.bytes", "a value out of range")
    contains(tool("--topic", it.new_name(), "--replication-factor", 3), "only 1 broker(s) are registered", "too many replicas")


@case("java/console_producer_and_consumer")
def console(it):
    name = it.topic(partitions=2)
    lines = "".join(f"k{n}:v{n}\n" for n in range(1000))
    arguments = ["--bootstrap-server", it.bootstrap, "--topic", name, "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    it.java("kafka-console-producer.sh", *arguments, stdin=lines)
    ends = dict(row.rsplit(":", 2)[1:] for row in get_offsets(it, name))
    equal(sum(map(int, ends.values())), 1000, "records in both partitions")
    got = []
    for partition in (0, 1):
        count = int(ends[str(partition)])
        expect(count > 300, f"partition {partition} has its share")
        shown = ("--partition", partition, "--offset", "earliest", "--formatter-property", "print.key=true")
        rows = console_consume(it, name, *shown, count=count)
        numbers = [int(row.split("\t")[1][1:]) for row in rows]
        equal(numbers, sorted(numbers), f"order in partition {partition}")
        got += rows
    equal(sorted(got), sorted(f"k{n}\tv{n}" for n in range(1000)), "records")
    equal(console_consume(it, name, "--partition", 0, "--offset", 3, count=2), [row.split("\t")[1] for row in got[3:5]], "from offset 3")


@case("java/console_producer_compresses_with_every_codec")
def console_codecs(it):
    name, wanted = it.topic(), []
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        values = [f"{codec} {n} {'abc' * 10}" for n in range(300)]
        it.java("kafka-console-producer.sh", "--bootstrap-server", it.bootstrap, "--topic", name, "--compression-codec", codec, stdin="\n".join(values) + "\n")
        wanted += values
    equal(console_consume(it, name, "--offset", "earliest", count=1200), wanted, "records")


@case("java/console_consumer_shows_headers_timestamps_and_nulls")
def formatted(it):
    name = it.topic()
    reader = ["parse.key=true", "parse.headers=true", "null.marker=NULL"]
    properties = [part for each in reader for part in ("--reader-property", each)]
    lines = "h1:a,h2:b\tk1\tv1\nh1:c\tk2\tNULL\n"
    it.java("kafka-console-producer.sh", "--bootstrap-server", it.bootstrap, "--topic", name, *properties, stdin=lines)
    shown = [f"print.{what}=true" for what in ("timestamp", "partition", "offset", "headers", "key")]
    properties = [part for each in shown for part in ("--formatter-property", each)]
    rows = console_consume(it, name, "--offset", "earliest", *properties, count=2)
    rows = [re.sub(r"CreateTime:\d{13}", "CreateTime:T", row) for row in rows]
    equal(rows, ["CreateTime:T\tPartition:0\tOffset:0\th1:a,h2:b\tk1\tv1", "CreateTime:T\tPartition:0\tOffset:1\th1:c\tk2\tnull"], "records")


@case("java/get_offsets_by_every_spec")
def offsets(it):
    name = it.topic(partitions=2)
    for line in ("one\ntwo\n", "three\n"):
        it.command("kcat", "-b", it.bootstrap, "-q", "-P", "-t", name, "-p", 1, stdin=line)
    rows = {
        (): [f"{name}:0:0", f"{name}:1:3"],
        ("--time", "-1"): [f"{name}:0:0", f"{name}:1:3"],
        ("--time", "earliest"): [f"{name}:0:0", f"{name}:1:0"],
        ("--time", "-3"): [f"{name}:1:2"],
        ("--time", "max-timestamp"): [f"{name}:1:2"],
        ("--time", "-4"): [f"{name}:0:0", f"{name}:1:0"],
        ("--time", "1000"): [f"{name}:1:0"],
        ("--partitions", "1"): [f"{name}:1:3"],
    }
    for arguments, wanted in rows.items():
        equal(get_offsets(it, name, *arguments), wanted, f"get-offsets {' '.join(arguments)}")


def perf_test(it, topic, records, size, *properties):
    """Runs the performance test; its closing line."""
    settings = [part for each in properties for part in ("--command-property", each)]
    arguments = ["--topic", topic, "--num-records", records, "--record-size", size, "--throughput", -1]
    out = it.java("kafka-producer-perf-test.sh", "--bootstrap-server", it.bootstrap, *arguments, *settings)
    return out.strip().splitlines()[-1]


@case("java/producer_perf_test_acks_all")
def perf(it):
    name = it.topic(partitions=4)
    last = perf_test(it, name, 100_000, 1000, "acks=all", "linger.ms=5")
    contains(last, "100000 records sent", "the closing line")
    it.note(last.split(",", 2)[1].strip())
    equal(sum(int(row.rsplit(":", 1)[1]) for row in get_offsets(it, name)), 100_000, "records in the log")


@case("java/producer_perf_test_compressed")
def perf_compressed(it):
    name = it.topic(partitions=2)
    for codec in ("lz4", "zstd"):
        last = perf_test(it, name, 20_000, 500, "acks=1", f"compression.type={codec}", "linger.ms=5")
        contains(last, "20000 records sent", f"the closing line with {codec}")
    equal(sum(int(row.rsplit(":", 1)[1]) for row in get_offsets(it, name)), 40_000, "records in the log")


@case("java/kafka_configs_of_topics")
def configs(it):
    name = it.topic()

    def tool(*arguments):
        return it.java("kafka-configs.sh", "--bootstrap-server", it.bootstrap, "--entity-type", "topics", "--entity-name", name, *arguments)

    every = tool("--describe", "--all")
    contains(every, f"All configs for topic {name} are:\n", "the first line")
    contains(every, "  retention.ms=604800000 sensitive=false synonyms={}\n", "retention.ms")
    contains(every, "  cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}\n", "cleanup.policy")
    equal(tool("--alter", "--add-config", "retention.ms=5000,max.message.bytes=2000"), f"Completed updating config for topic {name}.\n", "--alter")
    wanted = "  retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000}\n"
    contains(tool("--describe"), wanted, "--describe")
    tool("--alter", "--delete-config", "retention.ms")
    left = tool("--describe")
    expect("retention.ms" not in left and "max.message.bytes=2000" in left, f"one of two is left: {left}")


@case("java/broker_api_versions_and_cluster_id")
def versions(it):
    shown = it.java("kafka-broker-api-versions.sh", "--bootstrap-server", it.bootstrap)
    contains(shown, f"{it.bootstrap} (id: 1 rack: null isFenced: false) -> (\n", "the broker")
    for row in (
        "Produce(0): 0 to 13 [usable: 13]",
        "Fetch(1): 4 to 18 [usable: 18]",
        "ListOffsets(2): 1 to 11 [usable: 11]",
        "Metadata(3): 0 to 13 [usable: 13]",
        "ApiVersions(18): 0 to 4 [usable: 4]",
        "CreateTopics(19): 2 to 7 [usable: 7]",
        "DeleteTopics(20): 1 to 6 [usable: 6]",
        "InitProducerId(22): 0 to 5 [usable: 5]",
        "DescribeConfigs(32): 1 to 4 [usable: 4]",
        "CreatePartitions(37): 0 to 3 [usable: 3]",
        "IncrementalAlterConfigs(44): 0 to 1 [usable: 1]",
        "DescribeCluster(60): 0 to 2 [usable: 2]",
        "DescribeTopicPartitions(75): 0 [usable: 0]",
    ):
        contains(shown, f"\t{row}", "APIs")
    cluster = it.java("kafka-cluster.sh", "cluster-id", "--bootstrap-server", it.bootstrap)
    expect(re.fullmatch(r"Cluster ID: \S{22}\n", cluster), f"cluster-id says {cluster!r}")


@case("java/dump_log_reads_segments_indexes_and_metadata", own_node=True)
def dump_tool(it):
    node = it.start()
    it._bootstrap = node.bootstrap
    rolled = it.topic(word="rolled", bootstrap=node.bootstrap, segment_bytes=1048576, index_interval_bytes=1000)
    mixed = it.topic(word="mixed", bootstrap=node.bootstrap, index_interval_bytes=100)
    perf_test(it, rolled, 5000, 1000, "acks=all", "batch.size=16384")
    for number, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        lines = "".join(f"k{n}:{codec} {n} {'abc' * 5}\n" for n in range(100))
        it.command("kcat", "-b", node.bootstrap, "-q", "-P", "-t", mixed, "-K", ":", "-z", codec, "-H", f"n={number}", stdin=lines)
    node.stop()
    segments = sorted(node.data.glob(f"{rolled}-0/*.log"))
    expect(len(segments) >= 5, f"5 MB in segments of 1 MB are {len(segments)} segments")
    equal(dump_log(it, *segments).offsets, list(range(5000)), "offsets in the rolled segments")
    found = dump_log(it, node.data / f"{mixed}-0" / "00000000000000000000.log")
    equal(found.offsets, list(range(500)), "offsets of five codecs")
    equal(found.codecs, ["none", "gzip", "snappy", "lz4", "zstd"], "codecs")
    contains(found.text, "key: k42 payload: snappy 42 abcabcabcabcabc", "a payload")
    contains(found.text, "headerKeys: [n]", "headers")
    check_indexes(it, *node.data.glob(f"{rolled}-0/*index"), *node.data.glob(f"{mixed}-0/*index"))
    metadata = node.data / "__cluster_metadata-0" / "00000000000000000000.log"
    shown = dump(it, [metadata], "--cluster-metadata-decoder")
    for record in ("REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD", "CONFIG_RECORD", "FEATURE_LEVEL_RECORD"):
        contains(shown, f'"type":"{record}"', "metadata records")
    contains(shown, f'"name":"{rolled}"', "the topic's record")
    checkpoint = node.data / "bootstrap.checkpoint"
    if checkpoint.exists():
        contains(dump(it, [checkpoint], "--cluster-metadata-decoder"), "metadata.version", "bootstrap.checkpoint")


@case("java/delete_records_log_dirs_and_quorum")
def administration(it):
    name = it.topic()
    it.command("kcat", "-b", it.bootstrap, "-q", "-P", "-t", name, stdin="".join(f"{n}\n" for n in range(10)))
    wish = it.home / "delete.json"
    wish.write_text('{"partitions":[{"topic":"%s","partition":0,"offset":4}],"version":1}' % name)
    out = it.java("kafka-delete-records.sh", "--bootstrap-server", it.bootstrap, "--offset-json-file", wish)
    contains(out, f"partition: {name}-0\tlow_watermark: 4", "deletion")
    equal(get_offsets(it, name, "--time", -2), [f"{name}:0:4"], "the first offset")
    equal(console_consume(it, name, "--from-beginning", count=6), [str(n) for n in range(4, 10)], "what is left")
    shown = it.java("kafka-log-dirs.sh", "--bootstrap-server", it.bootstrap, "--describe", "--topic-list", name)
    contains(shown, f'"partition":"{name}-0","size":', "the size of the log")
    shown = it.java("kafka-metadata-quorum.sh", "--bootstrap-server", it.bootstrap, "describe", "--status")
    expect(re.search(r"LeaderId: +1\n", shown) and re.search(r"HighWatermark: +[1-9]", shown), shown)
    shown = it.java("kafka-features.sh", "--bootstrap-server", it.bootstrap, "describe")
    expect(re.search(r"Feature: kraft.version.*FinalizedVersionLevel: 1 ", shown), shown)
    moving = it.java("kafka-reassign-partitions.sh", "--bootstrap-server", it.bootstrap, "--list")
    contains(moving, "No partition reassignments found.\n", "reassignments")


@case("java/tools_say_that_there_is_no_such_topic")
def nothing(it):
    out = it.java("kafka-get-offsets.sh", "--bootstrap-server", it.bootstrap, "--topic", "no-such-topic-at-all", code=1)
    contains(out + it.stderr, "Could not match any topic-partitions", "get-offsets")
