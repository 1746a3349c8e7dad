"""confluent-kafka 2.16 for Python, on librdkafka of the same version. Consumers use assign(): there are no groups yet."""

import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka import TopicCollection

from harness.case import case, equal, eventually, expect


def admin_of(it):
    return AdminClient({"bootstrap.servers": it.bootstrap})


def consumer_of(bootstrap, **config):
    """A consumer that only ever assigns."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True, **settings})


def read_all(bootstrap, topic, partitions=1, seconds=60, start=OFFSET_BEGINNING, **config):
    """Every record of a topic up to the ends of its partitions, in order per partition."""
    consumer = consumer_of(bootstrap, **config)
    consumer.assign([TopicPartition(topic, partition, start) for partition in range(partitions)])
    records, ended, deadline = [], set(), time.monotonic() + seconds
    while len(ended) < partitions:
        expect(time.monotonic() < deadline, f"{topic}: the end was not reached within {seconds} s; {len(records)} records read")
        for message in consumer.consume(10000, 0.2):
            if message.error() is None:
                records.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise KafkaException(message.error())
    consumer.close()
    return records


def produce_all(bootstrap, topic, values, partition=0, **config):
    """Produces values with delivery reports; the reported offsets in the order of the values."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    offsets = [None] * len(values)

    def report(index):
        def delivered(error, message):
            if error is not None:
                raise KafkaException(error)
            offsets[index] = message.offset()

        return delivered

    for index, value in enumerate(values):
        while True:
            try:
                producer.produce(topic, value, partition=partition, on_delivery=report(index))
                break
            except BufferError:
                producer.poll(0.1)
    equal(producer.flush(120), 0, "messages that were not delivered")
    return offsets


def refused(future, code, what):
    """The future must fail with this error code; returns the error's text."""
    try:
        future.result(120)
    except KafkaException as why:
        equal(why.args[0].code(), code, f"{what}: {why}")
        return why.args[0].str()
    raise AssertionError(f"{what} was not refused")


@case("confluent/creates_and_deletes_topics")
def create_delete(it):
    admin, name = admin_of(it), it.new_name()
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(120)
    equal(len(admin.list_topics(name, 10).topics[name].partitions), 3, "partitions")
    text = refused(admin.create_topics([NewTopic(name, 3, 1)])[name], KafkaError.TOPIC_ALREADY_EXISTS, "the same topic again")
    equal(text, f"Topic '{name}' already exists.", "the message")
    refused(admin.create_topics([NewTopic("a b", 1, 1)])["a b"], KafkaError.TOPIC_EXCEPTION, "a bad name")
    more = it.new_name()
    refused(admin.create_topics([NewTopic(more, 1, 3)])[more], KafkaError.INVALID_REPLICATION_FACTOR, "three replicas on one node")
    refused(admin.create_topics([NewTopic(more, 0, 1)])[more], KafkaError.INVALID_PARTITIONS, "no partitions")
    admin.create_topics([NewTopic(more, 1, 1)], validate_only=True)[more].result(120)
    expect(more not in admin.list_topics(timeout=60).topics, "validate_only creates nothing")
    admin.delete_topics([name])[name].result(120)
    eventually(lambda: name not in admin.list_topics(timeout=60).topics, "the deleted topic is gone")
    refused(admin.delete_topics([name])[name], KafkaError.UNKNOWN_TOPIC_OR_PART, "deleting it again")
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(120)
    produce_all(it.bootstrap, name, [b"new life"])
    equal([m.value() for m in read_all(it.bootstrap, name)], [b"new life"], "the topic of the same name is a new one")


@case("confluent/adds_partitions")
def add_partitions(it):
    admin, name = admin_of(it), it.topic(partitions=2)
    produce_all(it.bootstrap, name, [b"old"], partition=1)
    admin.create_partitions([NewPartitions(name, 5)])[name].result(120)
    equal(len(admin.list_topics(name, 10).topics[name].partitions), 5, "partitions")
    refused(admin.create_partitions([NewPartitions(name, 4)])[name], KafkaError.INVALID_PARTITIONS, "fewer partitions")
    produce_all(it.bootstrap, name, [b"new"], partition=4)
    equal([(m.partition(), m.value()) for m in sorted(read_all(it.bootstrap, name, 5), key=lambda m: m.partition())], [(1, b"old"), (4, b"new")], "records")


@case("confluent/describes_and_alters_topic_configs")
def configs(it):
    admin, name = admin_of(it), it.topic(retention_ms=123456)
    resource = ConfigResource(ResourceType.TOPIC, name)

    def described():
        return admin.describe_configs([resource])[resource].result(120)

    found = described()
    entry = found["retention.ms"]
    equal((entry.value, entry.is_default, entry.is_read_only, entry.is_sensitive, entry.source), ("123456", False, False, False, 1), "retention.ms")
    entry = found["segment.bytes"]
    equal((entry.value, entry.is_default, entry.source), ("1073741824", True, 5), "segment.bytes")
    for key in ("cleanup.policy", "compression.type", "max.message.bytes", "min.insync.replicas", "message.timestamp.type"):
        expect(key in found, f"{key} is described")

    def alter(key, value, operation):
        change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[ConfigEntry(key, value, incremental_operation=operation)])
        return admin.incremental_alter_configs([change])[change]

    alter("segment.bytes", "2097152", AlterConfigOpType.SET).result(120)
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND).result(120)
    alter("retention.ms", None, AlterConfigOpType.DELETE).result(120)
    found = described()
    equal(found["segment.bytes"].value, "2097152", "set")
    equal(found["cleanup.policy"].value, "delete,compact", "appended")
    equal((found["retention.ms"].value, found["retention.ms"].is_default), ("604800000", True), "deleted")
    alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT).result(120)
    equal(described()["cleanup.policy"].value, "compact", "subtracted")
    refused(alter("segment.bytes", "three", AlterConfigOpType.SET), KafkaError.INVALID_CONFIG, "a value that is no number")
    refused(alter("no.such.key", "1", AlterConfigOpType.SET), KafkaError.INVALID_CONFIG, "an unknown key")
    broker = ConfigResource(ResourceType.BROKER, str(admin.list_topics(timeout=60).controller_id))
    found = admin.describe_configs([broker])[broker].result(120)
    equal(found["num.partitions"].value, "1", "a config of the broker")


@case("confluent/describes_the_cluster_and_topics")
def describe(it):
    admin, name = admin_of(it), it.topic(partitions=4)
    cluster = admin.describe_cluster().result(120)
    equal([f"{node.host}:{node.port}" for node in cluster.nodes], [it.bootstrap], "nodes")
    equal(cluster.controller.id, cluster.nodes[0].id, "controller")
    equal(len(cluster.cluster_id), 22, "length of the cluster id")
    topic = admin.describe_topics(TopicCollection([name]))[name].result(120)
    equal([(p.id, p.leader.id, len(p.replicas), len(p.isr)) for p in topic.partitions], [(p, cluster.nodes[0].id, 1, 1) for p in range(4)], "partitions")
    expect(not topic.is_internal, "not internal")
    expect(str(topic.topic_id) not in ("", "AAAAAAAAAAAAAAAAAAAAAA"), "the topic has an id")
    refused(admin.describe_topics(TopicCollection([name + "-no"]))[name + "-no"], KafkaError.UNKNOWN_TOPIC_OR_PART, "an unknown topic")


@case("confluent/lists_offsets")
def list_offsets(it):
    admin, name = admin_of(it), it.topic()
    producer = Producer({"bootstrap.servers": it.bootstrap})
    for number, timestamp in enumerate((1000, 5000, 3000)):
        producer.produce(name, str(number), partition=0, timestamp=1_700_000_000_000 + timestamp)
        producer.flush(120)
    part = TopicPartition(name, 0)

    def at(spec, level=IsolationLevel.READ_UNCOMMITTED):
        return admin.list_offsets({part: spec}, isolation_level=level)[part].result(120)

    equal(at(OffsetSpec.earliest()).offset, 0, "earliest")
    equal(at(OffsetSpec.latest()).offset, 3, "latest")
    equal(at(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED).offset, 3, "last stable")
    found = at(OffsetSpec.max_timestamp())
    equal((found.offset, found.timestamp), (1, 1_700_000_005_000), "the record with the largest timestamp")
    found = at(OffsetSpec.for_timestamp(1_700_000_002_000))
    equal((found.offset, found.timestamp), (1, 1_700_000_005_000), "the first record from a time on")
    equal(at(OffsetSpec.for_timestamp(1_700_000_006_000)).offset, -1, "after the last")


@case("confluent/idempotent_producer_with_delivery_reports")
def idempotent(it):
    name = it.topic()
    values = [f"value {n}".encode() for n in range(20000)]
    offsets = produce_all(it.bootstrap, name, values, enable_idempotence=True, acks="all", linger_ms=1, batch_num_messages=100)
    equal(offsets, list(range(20000)), "reported offsets")
    equal([m.value() for m in read_all(it.bootstrap, name)], values, "records")


@case("confluent/a_hundred_thousand_records_in_batches")
def batches(it):
    name = it.topic(partitions=4)
    producer = Producer({"bootstrap.servers": it.bootstrap, "linger.ms": 20, "acks": "all", "queue.buffering.max.messages": 200000})
    for number in range(100_000):
        producer.produce(name, b"%d" % number, partition=number % 4)
        if number % 1000 == 0:
            producer.poll(0)
    equal(producer.flush(120), 0, "messages that were not delivered")
    records = read_all(it.bootstrap, name, 4)
    for partition in range(4):
        values = [int(m.value()) for m in records if m.partition() == partition]
        equal(values, list(range(partition, 100_000, 4)), f"records of partition {partition}")
    timestamps = {m.timestamp()[0] for m in records}
    equal(timestamps, {1}, "kinds of timestamp (1: set by the producer)")


@case("confluent/acks_zero_and_one")
def acks(it):
    name = it.topic()
    values = [b"%d" % n for n in range(3000)]
    produce_all(it.bootstrap, name, values[:1000], acks="1")
    produce_all(it.bootstrap, name, values[1000:2000], acks="0")
    eventually(lambda: len(read_all(it.bootstrap, name)) >= 2000, "records sent with acks=0 arrive")
    produce_all(it.bootstrap, name, values[2000:], acks="1")
    equal([m.value() for m in read_all(it.bootstrap, name)], values, "records")


@case("confluent/all_compressions")
def compressions(it):
    wanted = []
    name = it.topic()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        values = [f"{codec} {n} {'abc' * 20}".encode() for n in range(3000)]
        produce_all(it.bootstrap, name, values, compression_type=codec, linger_ms=20)
        wanted += values
    equal([m.value() for m in read_all(it.bootstrap, name)], wanted, "records of five codecs in one partition")


@case("confluent/the_topic_chooses_the_compression")
def recompression(it):
    for codec in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        name = it.topic(word=codec, compression_type=codec)
        values = [f"{n} {'abc' * 20}".encode() for n in range(500)]
        offsets = produce_all(it.bootstrap, name, values, compression_type="gzip", linger_ms=20)
        equal(offsets, list(range(500)), f"offsets in a topic of {codec}")
        equal([m.value() for m in read_all(it.bootstrap, name)], values, f"records in a topic of {codec}")


@case("confluent/null_keys_values_and_headers")
def nulls(it):
    name = it.topic()
    producer = Producer({"bootstrap.servers": it.bootstrap})
    rows = [
        (None, b"no key", None),
        (b"tombstone", None, None),
        (None, None, None),
        (b"", b"", [("h", b"1"), ("h", b"2"), ("null", None), ("empty", b"")]),
        ("ключ".encode(), "значение".encode(), [("заголовок", b"\0\xff")]),
    ]
    for key, value, headers in rows:
        producer.produce(name, value, key, partition=0, headers=headers)
    equal(producer.flush(120), 0, "messages that were not delivered")
    equal([(m.key(), m.value(), m.headers()) for m in read_all(it.bootstrap, name)], rows, "records")


@case("confluent/seeks_and_waits_at_the_end")
def seek(it):
    name = it.topic()
    values = [b"%d" % n for n in range(1000)]
    produce_all(it.bootstrap, name, values)
    consumer = consumer_of(it.bootstrap)
    consumer.assign([TopicPartition(name, 0, 500)])
    equal(consumer.consume(1, 30)[0].value(), b"500", "from offset 500")
    consumer.seek(TopicPartition(name, 0, 10))
    equal(consumer.consume(1, 30)[0].value(), b"10", "after a seek back")
    consumer.seek(TopicPartition(name, 0, 999))
    equal([m.value() if not m.error() else m.error().code() for m in consumer.consume(2, 30)], [b"999", KafkaError._PARTITION_EOF], "the last")
    equal(consumer.get_watermark_offsets(TopicPartition(name, 0), 10), (0, 1000), "watermarks")
    produce_all(it.bootstrap, name, [b"late"])
    equal(consumer.consume(1, 30)[0].value(), b"late", "what came later")
    consumer.assign([TopicPartition(name, 0, OFFSET_END)])
    equal(consumer.consume(1, 30)[0].error().code(), KafkaError._PARTITION_EOF, "from the end")
    consumer.close()


@case("confluent/an_offset_out_of_range_resets_or_fails")
def out_of_range(it):
    name = it.topic()
    produce_all(it.bootstrap, name, [b"0", b"1"])
    consumer = consumer_of(it.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(name, 0, 100)])
    equal(consumer.consume(1, 30)[0].value(), b"0", "reset to the earliest")
    consumer.close()
    consumer = consumer_of(it.bootstrap, auto_offset_reset="error")
    consumer.assign([TopicPartition(name, 0, 100)])
    equal(consumer.consume(1, 30)[0].error().code(), KafkaError._AUTO_OFFSET_RESET, "no reset")
    consumer.close()


@case("confluent/offsets_for_times")
def for_times(it):
    name = it.topic(partitions=2)
    producer = Producer({"bootstrap.servers": it.bootstrap, "linger.ms": 20})
    start = 1_700_000_000_000
    for number in range(5000):
        producer.produce(name, b"x" * 100, partition=0, timestamp=start + 10 * number)
    equal(producer.flush(120), 0, "messages that were not delivered")
    consumer = consumer_of(it.bootstrap)

    def at(partition, timestamp):
        return consumer.offsets_for_times([TopicPartition(name, partition, timestamp)], 30)[0].offset

    for number in (0, 1, 777, 2500, 4999):
        equal(at(0, start + 10 * number), number, f"the time of record {number}")
        equal(at(0, start + 10 * number - 5), number, f"just before record {number}")
    equal(at(0, start + 10 * 5000), OFFSET_END, "after the last")
    equal(at(1, start), OFFSET_END, "in an empty partition")
    consumer.close()


@case("confluent/append_time_is_the_brokers")
def append_time(it):
    name = it.topic(message_timestamp_type="LogAppendTime")
    producer = Producer({"bootstrap.servers": it.bootstrap})
    before = time.time() * 1000
    producer.produce(name, b"x", partition=0, timestamp=1000)
    equal(producer.flush(120), 0, "messages that were not delivered")
    kind, timestamp = read_all(it.bootstrap, name)[0].timestamp()
    equal(kind, 2, "kind of timestamp (2: set by the broker)")
    expect(before - 1000 <= timestamp <= time.time() * 1000 + 1000, f"{timestamp} is about now")


@case("confluent/fetch_sizes_smaller_than_a_batch")
def small_fetches(it):
    name = it.topic()
    values = [bytes([n % 251]) * 10_000 for n in range(200)]
    produce_all(it.bootstrap, name, values, linger_ms=50, batch_size=200_000)
    got = read_all(it.bootstrap, name, fetch_message_max_bytes=1000, fetch_max_bytes=1000, message_max_bytes=1000, receive_message_max_bytes=2_000_000)
    equal([m.value() for m in got], values, "records")


@case("confluent/many_clients_at_once")
def many(it):
    name = it.topic(partitions=8)
    producers = [Producer({"bootstrap.servers": it.bootstrap, "enable.idempotence": True}) for _ in range(16)]
    for number in range(200):
        for index, producer in enumerate(producers):
            producer.produce(name, f"{index} {number}".encode(), partition=index % 8)
            producer.poll(0)
    for producer in producers:
        equal(producer.flush(120), 0, "messages that were not delivered")
    records = read_all(it.bootstrap, name, 8)
    for index in range(16):
        got = [int(m.value().split()[1]) for m in records if m.value().startswith(b"%d " % index)]
        equal(got, list(range(200)), f"records of producer {index}, in order")
