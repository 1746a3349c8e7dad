"""kafka-python 3.0: a client in pure Python with a protocol implementation of its own. Consumers use assign()."""

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from harness.case import case, equal, eventually, expect


def read_all(it, topic, partitions=1, **config):
    """Every record up to the ends of the partitions, in order per partition."""
    consumer = KafkaConsumer(bootstrap_servers=it.bootstrap, group_id=None, auto_offset_reset="earliest", **config)
    parts = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(parts)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(parts)
    records = []

    def finished():
        for batch in consumer.poll(timeout_ms=500).values():
            records.extend(batch)
        return all(consumer.position(part) >= ends[part] for part in parts)

    eventually(finished, f"{topic} read to its end")
    consumer.close()
    return records


@case("kafka-python/produces_and_consumes")
def produce_consume(it):
    topic = it.topic(partitions=3)
    producer = KafkaProducer(bootstrap_servers=it.bootstrap, acks="all", linger_ms=5)
    futures = [producer.send(topic, key=b"k%d" % n, value=b"v%d" % n, partition=n % 3, headers=[("n", b"%d" % n)]) for n in range(3000)]
    producer.flush(120)
    equal([future.get(120).offset for future in futures], [n // 3 for n in range(3000)], "reported offsets")
    records = sorted(read_all(it, topic, 3), key=lambda record: (record.offset, record.partition))
    got = [(record.key, record.value, [tuple(header) for header in record.headers]) for record in records]
    equal(got, [(b"k%d" % n, b"v%d" % n, [("n", b"%d" % n)]) for n in range(3000)], "records")
    producer.close()


@case("kafka-python/all_compressions_and_acks")
def compressions(it):
    topic, wanted = it.topic(), []
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        for acks in (1, "all"):
            producer = KafkaProducer(bootstrap_servers=it.bootstrap, acks=acks, compression_type=codec, linger_ms=20, enable_idempotence=False)
            values = [f"{codec} {acks} {n} {'abc' * 10}".encode() for n in range(200)]
            for value in values:
                producer.send(topic, value=value)
            producer.flush(120)
            producer.close()
            wanted += values
    equal([record.value for record in read_all(it, topic)], wanted, "records")
    equal([record.value for record in read_all(it, topic, check_crcs=True, max_partition_fetch_bytes=2000)], wanted, "in small fetches")


@case("kafka-python/idempotent_producer")
def idempotent(it):
    topic = it.topic()
    producer = KafkaProducer(bootstrap_servers=it.bootstrap, enable_idempotence=True, linger_ms=1)
    for number in range(2000):
        producer.send(topic, value=b"%d" % number)
    producer.flush(120)
    producer.close()
    equal([record.value for record in read_all(it, topic)], [b"%d" % number for number in range(2000)], "records")


@case("kafka-python/offsets_and_timestamps")
def offsets(it):
    topic = it.topic()
    producer = KafkaProducer(bootstrap_servers=it.bootstrap, acks="all")
    start = 1_700_000_000_000
    for number in range(100):
        producer.send(topic, value=b"%d" % number, timestamp_ms=start + number * 1000)
    producer.flush(120)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=it.bootstrap, group_id=None)
    part = TopicPartition(topic, 0)
    equal(consumer.beginning_offsets([part])[part], 0, "beginning")
    equal(consumer.end_offsets([part])[part], 100, "end")
    found = consumer.offsets_for_times({part: start + 41_500})[part]
    equal((found.offset, found.timestamp), (42, start + 42_000), "by time")
    equal(consumer.offsets_for_times({part: start + 500_000})[part], None, "after the last")
    equal(consumer.partitions_for_topic(topic), {0}, "partitions")
    consumer.close()


@case("kafka-python/administers_topics")
def admin(it):
    client = KafkaAdminClient(bootstrap_servers=it.bootstrap)
    topic = it.new_name()
    expect(topic not in client.list_topics(), "not there yet")
    client.create_topics({topic: {"num_partitions": 2, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}})
    expect(topic in client.list_topics(), "created")
    try:
        client.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}})
        raise AssertionError("the same topic again was not refused")
    except kafka.errors.TopicAlreadyExistsError:
        pass
    client.create_partitions({topic: 4})
    (described,) = client.describe_topics([topic])
    equal(len(described["partitions"]), 4, "partitions")
    client.delete_topics([topic])
    eventually(lambda: topic not in client.list_topics(), "deleted")
    cluster = client.describe_cluster()
    equal([f"{broker['host']}:{broker['port']}" for broker in cluster["brokers"]], [it.bootstrap], "brokers")
    client.close()


@case("kafka-python/describes_and_alters_configs")
def configs(it):
    client = KafkaAdminClient(bootstrap_servers=it.bootstrap)
    topic = it.topic(retention_ms=5000)

    def modified():
        described = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {name: entry["value"] for name, entry in next(iter(described["topic"].values())).items()}

    equal(modified().get("retention.ms"), "5000", "as created")
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "12345"})])
    equal(modified().get("max.message.bytes"), "12345", "altered")
    client.close()
