"""Compacted topics: the last value of each key, whoever compacted and whoever reads, and Kafka's tools on the files."""

import re
import time

from confluent_kafka import Producer

from harness import nodes
from harness.case import case, equal, eventually, expect

from .b_confluent import read_all
from .dump import check_indexes, dump

EAGER = ("log.cleaner.backoff.ms=50", "log.cleaner.min.cleanable.ratio=0.01")
LAZY = ("log.cleaner.backoff.ms=3600000",)
KEYS = 40


def write(node, topic, rounds, codec="none", transactional=None):
    """Rounds of keyed records, each in a segment of its own; every seventh value is a tombstone, and with transactions
    every third round is aborted. Gives what each key must be."""
    settings = {"bootstrap.servers": node.bootstrap, "compression.type": codec, "linger.ms": 5}
    if transactional:
        settings["transactional.id"] = transactional
    producer = Producer(settings)
    if transactional:
        producer.init_transactions(30)
    live = {}
    for number in range(rounds):
        aborted = transactional and number % 3 == 2
        if transactional:
            producer.begin_transaction()
        for key in range(KEYS):
            value = None if (number + key) % 7 == 0 else b"%s %d %d" % (codec.encode(), number, key) + b"." * 200
            producer.produce(topic, value, b"key %d" % key, partition=0)
            if not aborted:
                live[b"key %d" % key] = value
        equal(producer.flush(120), 0, "messages that were not delivered")
        if transactional:
            producer.abort_transaction(30) if aborted else producer.commit_transaction(30)
        time.sleep(0.12)
    return live


def check(node, topic, live, **config):
    """A reader from the beginning ends with the last value of each key."""
    found, records = {}, read_all(node.bootstrap, topic, 1, **config)
    for message in records:
        found[message.key()] = message.value()
    wanted = {key: value for key, value in live.items() if value is not None}
    equal({key: value for key, value in found.items() if value is not None}, wanted, "the last values")
    return len(records)


def compacted(node, topic):
    """Waits until nothing of the topic is left to be cleaned but its last segment."""
    folder, checkpoint = node.data / f"{topic}-0", node.data / "cleaner-offset-checkpoint"

    def done():
        bases = sorted(int(path.stem) for path in folder.glob("*.log"))
        text = checkpoint.read_text() if checkpoint.exists() else ""
        cleaned = re.search(rf"^{re.escape(topic)} 0 (\d+)$", text, re.M)
        return cleaned and int(cleaned[1]) >= bases[-1]

    eventually(done, "the log is compacted")


def judge(it, node, topic):
    """kafka-dump-log finds every batch valid and every index right; the node must have stopped."""
    folder = node.data / f"{topic}-0"
    segments = sorted(folder.glob("*.log"))
    text = dump(it, segments, "--deep-iteration")
    expect("isvalid: true" in text and "isvalid: false" not in text, f"every batch is valid: {text[:1000]}")
    check_indexes(it, *sorted(folder.glob("*.index")), *sorted(folder.glob("*.timeindex")))


def topic_of(it, node):
    return it.topic(1, "compacted", node.bootstrap, cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01)


@case("compaction/last_values_stay_and_kafka_reads_the_files", own_node=True, slow=True)
def ours(it):
    home = it.home / "node"
    node = it.target.start(home, *EAGER)
    topic = topic_of(it, node)
    live = {}
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        live.update(write(node, topic, 4, codec))
    compacted(node, topic)
    left = check(node, topic, live)
    expect(left < 8 * KEYS, f"{left} of {20 * KEYS} records are left")
    it.note(f"{left} of {20 * KEYS} records are left")
    node.stop()
    judge(it, node, topic)
    node = nodes.Kafka().start(home, *EAGER)
    check(node, topic, live)
    live.update(write(node, topic, 6, "zstd"))
    compacted(node, topic)
    check(node, topic, live)
    node.stop()
    node = it.target.start(home, *EAGER)
    check(node, topic, live)
    live.update(write(node, topic, 3))
    compacted(node, topic)
    check(node, topic, live)
    node.kill()
    node = it.target.start(home, *EAGER)
    check(node, topic, live)
    node.stop()
    judge(it, node, topic)


@case("compaction/transactions_that_kafka_wrote", own_node=True, slow=True)
def of_kafka(it):
    home = it.home / "node"
    node = nodes.Kafka().start(home, *LAZY)
    topic = topic_of(it, node)
    live = write(node, topic, 12, "lz4", transactional="writer")
    live.update(write(node, topic, 2))
    before = check(node, topic, live, isolation_level="read_committed")
    node.stop()
    node = it.target.start(home, *EAGER)
    compacted(node, topic)
    left = check(node, topic, live)
    expect(left < before, f"{left} of {before} committed records are left")
    node.stop()
    judge(it, node, topic)
    node = nodes.Kafka().start(home, *LAZY)
    equal(check(node, topic, live, isolation_level="read_committed"), left, "records that Kafka reads")
    live.update(write(node, topic, 3, transactional="writer"))
    check(node, topic, live, isolation_level="read_committed")
    node.stop()
