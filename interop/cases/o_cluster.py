"""Three nodes: what was acknowledged by all in-sync replicas is there whichever of them is killed."""

import json
import signal
import statistics
import time

from confluent_kafka import Consumer, ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness.case import PATIENCE_SECONDS, case, equal, eventually, expect
from harness.cluster import Cluster

from .copier import Copier
from .load import PARTITIONS, Load


def create(cluster, name, **configs):
    """A topic with three replicas."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
    admin.create_topics([NewTopic(name, PARTITIONS, 3, config=settings)])[name].result(PATIENCE_SECONDS)
    return admin


def leader(admin, topic, partition=0):
    """Which node leads."""
    found = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return found[partition].leader if partition in found else -1


def in_sync(admin, topic):
    """How many replicas of each partition are in sync."""
    found = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return [len(found[partition].isrs) for partition in sorted(found)]


@case("cluster/nothing_acknowledged_is_lost_when_leaders_are_killed", own_node=True, slow=True, seconds=900)
def killed_leaders(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    topic = it.new_name()
    admin = create(cluster, topic, min_insync_replicas=2)
    load = Load(cluster.bootstrap, topic, True, rate=1000)
    gaps = []
    for _ in range(4):
        before = load.count()
        eventually(lambda: load.count() > before + 2000, "the load goes on", 90)
        victim = leader(admin, topic)
        cluster.kill(victim)
        began, count = time.monotonic(), load.count()
        eventually(lambda: leader(admin, topic) not in (-1, victim), "another node leads", 90)
        eventually(lambda: load.count() > count + 500, "producing resumes", 90)
        gaps.append(time.monotonic() - began)
        cluster.launch(victim)
        eventually(lambda: in_sync(admin, topic) == [3] * PARTITIONS, "all replicas are in sync again", 120)
    load.finish()
    load.check(cluster.bootstrap)
    it.note(f"{load.count()} records through 4 killed leaders; producing resumed after {', '.join(f'{gap:.1f}' for gap in gaps)} s")
    cluster.stop()
    equal([node for node in cluster.members.values() if node is not None], [], "nodes that still run")


@case("cluster/producers_wait_for_a_moment_when_leaders_are_stopped", own_node=True, alone=True, seconds=300)
def stopped_leaders(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    topic = it.new_name()
    admin = create(cluster, topic, min_insync_replicas=2)
    load = Load(cluster.bootstrap, topic, True, rate=1000)
    waits = []
    for _ in range(3):
        before = load.count()
        eventually(lambda: load.count() > before + 2000, "the load goes on", 90)
        active = cluster.quorum_leader()
        victim = next(led for led in (leader(admin, topic, partition) for partition in range(PARTITIONS)) if led != active)
        load.slowest = 0.0
        cluster.end(victim)
        before = load.count()
        eventually(lambda: load.count() > before + 1000, "producing goes on", 90)
        waits.append(load.slowest)
        cluster.launch(victim)
        eventually(lambda: in_sync(admin, topic) == [3] * PARTITIONS, "all replicas are in sync again", 120)
        admin.elect_leaders(ElectionType.PREFERRED).result(30)
    load.finish()
    load.check(cluster.bootstrap)
    it.note(f"records waited for {', '.join(f'{1000 * wait:.0f}' for wait in waits)} ms at most")
    # A client that must find out by itself who leads now looks for that every second.
    expect(it.is_kafka or statistics.median(waits) < 0.9, f"clients are told who leads: {waits}")
    cluster.stop()


@case("cluster/transactions_are_copied_once_though_their_coordinators_are_killed", own_node=True, slow=True, seconds=900)
def killed_coordinators(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    source, target = it.new_name(), it.new_name()
    admin = create(cluster, source, min_insync_replicas=2)
    create(cluster, target, min_insync_replicas=2)
    load = Load(cluster.bootstrap, source, True, rate=500)
    copier = Copier(cluster.bootstrap, source, target, it.new_name("copier"))
    victims = ["__transaction_state", "__consumer_offsets", target]
    for topic in victims:
        count = copier.copied
        eventually(lambda: copier.failure or copier.copied > count + 500, "the copier goes on", 90)
        victim = leader(admin, target) if topic == target else coordinator(admin, topic, copier)
        cluster.kill(victim)
        killed_at = copier.copied
        eventually(lambda: copier.failure or copier.copied > killed_at + 500, "the copier goes on without the node", 90)
        cluster.launch(victim)
        eventually(lambda: in_sync(admin, source) == [3] * PARTITIONS, "all replicas are in sync again", 120)
    load.finish()
    copier.finish(sum(load.sent))
    copier.check(load.sent)
    it.note(f"{copier.copied} records in {copier.commits} transactions, {copier.aborts} aborted; the slowest took {copier.slowest:.1f} s")
    cluster.stop()


def coordinator(admin, topic, copier):
    """Which node leads the partition of an internal topic in which something is kept."""
    eventually(lambda: admin.list_topics(topic, timeout=10).topics[topic].partitions, f"{topic} exists", 60)
    number = 0
    for letter in copier.identity:
        number = (31 * number + ord(letter)) & 0xFFFFFFFF
    number = number - (1 << 32) if number >= 1 << 31 else number
    found = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return found[abs(number) % len(found)].leader


@case("cluster/followers_have_their_leaders_bytes", own_node=True, seconds=300)
def same_bytes(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    topic = it.new_name()
    admin = create(cluster, topic)
    load = Load(cluster.bootstrap, topic, True, rate=2000)
    eventually(lambda: load.count() > 5000, "records are acknowledged", 90)
    load.finish()
    load.check(cluster.bootstrap)
    equal(in_sync(admin, topic), [3] * PARTITIONS, "replicas in sync")
    cluster.stop()
    for partition in range(PARTITIONS):
        name = f"{topic}-{partition}/00000000000000000000.log"
        logs = [(cluster.directory(id) / "data" / name).read_bytes() for id in cluster.ids]
        equal(len({bytes(log) for log in logs}), 1, f"different logs of partition {partition}, of {[len(log) for log in logs]} bytes")


@case("cluster/a_leader_that_sleeps_wakes_as_a_follower", own_node=True, slow=True, seconds=600)
def paused_leader(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    topic = it.new_name()
    admin = create(cluster, topic, min_insync_replicas=2)
    loads = [Load(cluster.bootstrap, topic, True, rate=1000)]
    eventually(lambda: loads[0].count() > 2000, "records are acknowledged", 90)
    victim = leader(admin, topic)
    process = cluster.members[victim].process
    process.send_signal(signal.SIGSTOP)
    awake = AdminClient({"bootstrap.servers": ",".join(f"127.0.0.1:{cluster.clients[id]}" for id in cluster.ids if id != victim)})
    eventually(lambda: leader(awake, topic) not in (-1, victim), "another node leads", 90)
    count = loads[0].count()
    eventually(lambda: loads[0].count() > count + 2000, "producing resumes", 90)
    process.send_signal(signal.SIGCONT)
    eventually(lambda: in_sync(awake, topic) == [3] * PARTITIONS, "all replicas are in sync again", 120)
    loads[0].finish()
    loads[0].check(cluster.bootstrap)
    cluster.stop()


@case("cluster/deleted_records_are_deleted_on_every_replica", own_node=True, seconds=300)
def deleted_records(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    topic = it.new_name()
    admin = create(cluster, topic)
    load = Load(cluster.bootstrap, topic, True, rate=2000)
    eventually(lambda: load.count() > 3000, "records are acknowledged", 90)
    load.finish()
    to = [TopicPartition(topic, partition, 500) for partition in range(PARTITIONS)]
    deleted = [future.result().low_watermark for future in admin.delete_records(to).values()]
    equal(deleted, [500] * PARTITIONS, "low watermarks")
    for id in cluster.ids:
        cluster.kill(id)
    starts = []
    for id in cluster.ids:
        lines = (cluster.directory(id) / "data" / "log-start-offset-checkpoint").read_text().splitlines()
        starts += [line for line in lines if line.startswith(topic)]
    leaders_at_least = [f"{topic} {partition} 500" for partition in range(PARTITIONS)]
    equal(sorted(set(starts)), leaders_at_least, "starts of logs on the disks")


@case("cluster/consumers_read_from_a_follower_in_their_rack", own_node=True, seconds=300)
def nearest(it):
    selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"
    cluster = Cluster(it.target, it.home / "three", 3, selector, each=lambda id: [f"broker.rack=rack{id}"])
    topic = it.new_name()
    admin = create(cluster, topic)
    load = Load(cluster.bootstrap, topic, True, rate=2000)
    eventually(lambda: load.count() > 3000, "records are acknowledged", 90)
    load.finish()
    victim = leader(admin, topic)
    near = next(id for id in cluster.ids if id != victim)
    config = {"bootstrap.servers": cluster.bootstrap, "group.id": topic, "client.rack": f"rack{near}", "check.crcs": True}
    config |= {"statistics.interval.ms": 200, "stats_cb": lambda text: seen.append(json.loads(text))}
    seen = []
    consumer = Consumer(config)
    consumer.assign([TopicPartition(topic, 0, 0)])
    rows = []
    eventually(lambda: rows.extend(consumer.consume(500, 0.5)) or len(rows) >= load.sent[0], "everything is read", 60)
    eventually(lambda: consumer.poll(0.2) or seen, "statistics", 30)
    brokers = {broker["nodeid"]: broker["req"].get("Fetch", 0) for broker in seen[-1]["brokers"].values()}
    expect(brokers.get(near, 0) > 0, f"fetches by broker, of which {near} is near: {brokers}")
    consumer.close()
    equal([int(row.value().split(b" ")[0]) for row in rows], list(range(load.sent[0])), "records")
    cluster.stop()
