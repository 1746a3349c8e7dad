"""What was acknowledged is there: after kill -9, after a clean stop, after damage, and under Apache Kafka itself."""

import random
import struct
import time

from harness import frames, nodes
from harness.case import case, equal, eventually, expect

from .b_confluent import produce_all, read_all
from .dump import check_indexes, dump_log
from .load import Load

SMALL_SEGMENTS = {"segment_bytes": 1048576, "index_interval_bytes": 1000}


def judge_segments(it, node, *topics):
    """kafka-dump-log reads every segment and index of some topics; the node must have stopped."""
    for topic in topics:
        for folder in sorted(node.data.glob(f"{topic}-*")):
            found = dump_log(it, *sorted(folder.glob("*.log")))
            equal(found.offsets, list(range(len(found.offsets))), f"{folder.name}: offsets on the disk")
            check_indexes(it, *folder.glob("*.index"), *folder.glob("*.timeindex"))


def under_load(it, rounds, seed, end):
    """Two producers through `rounds` ends of the node; `end(node)` ends it."""
    chance = random.Random(seed)
    node = it.start()
    topics = [it.topic(3, word, node.bootstrap, **SMALL_SEGMENTS) for word in ("idempotent", "plain")]
    loads = [Load(node.bootstrap, topic, idempotent) for topic, idempotent in zip(topics, (True, False))]
    for _ in range(rounds):
        before = [load.count() for load in loads]
        eventually(lambda: all(load.count() > count + 2000 for load, count in zip(loads, before)), "the load goes on", 90)
        time.sleep(chance.uniform(0, 0.5))
        end(node)
        node = it.start()
    for load in loads:
        load.finish()
    for load in loads:
        load.check(node.bootstrap)
    it.note(f"{sum(load.count() for load in loads)} records through {rounds} ends")
    node.stop()
    judge_segments(it, node, *topics)
    node = it.start()
    for load in loads:
        load.check(node.bootstrap)
    node.stop()


@case("durability/kill_9_in_mid_load", own_node=True)
def kill(it):
    under_load(it, 4, 1, lambda node: node.kill())


@case("durability/kill_9_in_mid_load_many_times", own_node=True, slow=True, seconds=1800)
def kill_often(it):
    under_load(it, 15, 2, lambda node: node.kill())


@case("durability/sigterm_in_mid_load", own_node=True)
def terminate(it):
    def end(node):
        node.stop()
        expect((node.data / ".kafka_cleanshutdown").exists(), "a clean stop leaves .kafka_cleanshutdown")

    under_load(it, 2, 3, end)


@case("durability/a_restart_keeps_topics_configs_and_ids", own_node=True)
def restart(it):
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    def facts(node):
        admin = AdminClient({"bootstrap.servers": node.bootstrap})
        described = admin.describe_topics(TopicCollection([topic]))[topic].result(120)
        resource = ConfigResource(ResourceType.TOPIC, topic)
        configs = admin.describe_configs([resource])[resource].result(120)
        cluster = admin.describe_cluster().result(120)
        set_here = {name: entry.value for name, entry in configs.items() if not entry.is_default}
        return str(described.topic_id), [p.leader.id for p in described.partitions], set_here, cluster.cluster_id

    def producer_id(node):
        def given():
            error, number = struct.unpack(">hq", connection.ask(frames.init_producer_id(4))[5:15])
            return error == 0 and [number]  # the coordinator may say that it is still loading

        with frames.Connection(node.address) as connection:
            return eventually(given, "a producer id is given")[0]

    node = it.start()
    topic = it.topic(3, bootstrap=node.bootstrap, retention_ms=7654321)
    gone = it.topic(1, "deleted", bootstrap=node.bootstrap)
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.delete_topics([gone])[gone].result(120)
    before, ids = facts(node), [producer_id(node)]
    equal(before[2].get("retention.ms"), "7654321", "the config")
    for end in (nodes.Node.stop, nodes.Node.kill):
        end(node)
        node = it.start()
        equal(facts(node), before, "topic id, leaders, configs, cluster id")
        ids.append(producer_id(node))
    expect(len(set(ids)) == 3 and ids == sorted(ids), f"producer ids are never given twice: {ids}")
    expect(not list(node.data.glob(f"{gone}-0")), "the deleted topic does not come back")
    node.stop()


def with_damage(it, damage):
    """Kills a node, damages the directory of a partition, starts again; the records before the damage are there."""
    node = it.start()
    topic = it.topic(1, bootstrap=node.bootstrap, index_interval_bytes=200)
    values = [b"%d %s" % (number, b"v" * 100) for number in range(2000)]
    produce_all(node.bootstrap, topic, values, linger_ms=20, enable_idempotence=True, batch_num_messages=100)
    node.kill()
    damage(node.data / f"{topic}-0")
    node = it.start()
    got = [message.value() for message in read_all(node.bootstrap, topic)]
    equal(got, values[: len(got)], "the records that are left")
    more = [b"more %d" % number for number in range(100)]
    equal(produce_all(node.bootstrap, topic, more), list(range(len(got), len(got) + 100)), "the next offsets")
    equal([message.value() for message in read_all(node.bootstrap, topic)], got + more, "old and new records")
    node.stop()
    judge_segments(it, node, topic)
    return len(got)


@case("durability/recovers_from_a_torn_end", own_node=True)
def torn(it):
    def damage(folder):
        log = folder / "00000000000000000000.log"
        log.write_bytes(log.read_bytes()[:-57])

    left = with_damage(it, damage)
    expect(1900 <= left < 2000, f"only the torn batch is lost: {left} of 2000 records are left")


@case("durability/recovers_from_garbage_at_the_end", own_node=True)
def garbage(it):
    def damage(folder):
        with open(folder / "00000000000000000000.log", "ab") as log:
            log.write(random.Random(4).randbytes(5000))

    equal(with_damage(it, damage), 2000, "records that are left")


@case("durability/rebuilds_missing_and_broken_indexes", own_node=True)
def indexes(it):
    def damage(folder):
        (folder / "00000000000000000000.index").unlink()
        (folder / "00000000000000000000.timeindex").write_bytes(b"\xff" * 121)

    equal(with_damage(it, damage), 2000, "records that are left")


def fill(it, node):
    """Records of every codec, idempotent and plain, and a deleted topic; the topics with what must be read back."""
    rolled = it.topic(2, "rolled", node.bootstrap, **SMALL_SEGMENTS)
    wanted = {}
    for partition in (0, 1):
        values = []
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            part = [f"{codec} {partition} {number} ".encode() + random.Random(number).randbytes(300) for number in range(2000)]
            produce_all(node.bootstrap, rolled, part, partition, compression_type=codec, linger_ms=20, enable_idempotence=codec != "gzip")
            values += part
        wanted[rolled, partition] = values
    keyed = it.topic(1, "configured", node.bootstrap, cleanup_policy="compact", message_timestamp_type="LogAppendTime")
    return wanted, keyed


def read_back(node, wanted):
    for (topic, partition), values in wanted.items():
        got = [message.value() for message in read_all(node.bootstrap, topic, 2, seconds=120) if message.partition() == partition]
        equal(got, values, f"{topic} partition {partition}")


def hand_over(it, first, second, end):
    """`first` writes a directory, `second` reads it and goes on, `first` reads all of it."""
    home = it.home / "node"
    node = first.start(home)
    wanted, configured = fill(it, node)
    read_back(node, wanted)
    end(node)
    node = second.start(home)
    read_back(node, wanted)
    more = [b"written by the other %d" % number for number in range(500)]
    for (topic, partition), values in wanted.items():
        equal(produce_all(node.bootstrap, topic, more, partition)[0], len(values), "the next offset")
        values += more
    read_back(node, wanted)
    shown = it.java("kafka-topics.sh", "--bootstrap-server", node.bootstrap, "--describe", "--topic", configured)
    expect("cleanup.policy=compact" in shown and "message.timestamp.type=LogAppendTime" in shown, f"the configs came along: {shown}")
    new = it.topic(2, "new", node.bootstrap)
    produce_all(node.bootstrap, new, more, 1)
    wanted[new, 1] = more
    end(node)
    node = first.start(home)
    read_back(node, wanted)
    node.stop()


@case("durability/apache_kafka_opens_our_directory", own_node=True, slow=True)
def kafka_opens(it):
    hand_over(it, it.target, nodes.Kafka(), lambda node: node.stop())


@case("durability/apache_kafka_opens_our_directory_after_kill_9", own_node=True, slow=True)
def kafka_recovers(it):
    hand_over(it, it.target, nodes.Kafka(), lambda node: node.kill())


@case("durability/opens_a_directory_of_apache_kafka", own_node=True, slow=True)
def opens_kafka(it):
    hand_over(it, nodes.Kafka(), it.target, lambda node: node.stop())


@case("durability/opens_a_directory_of_apache_kafka_after_kill_9", own_node=True, slow=True)
def recovers_kafka(it):
    hand_over(it, nodes.Kafka(), it.target, lambda node: node.kill())
