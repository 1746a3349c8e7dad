"""Three nodes: what was acknowledged by all in-sync replicas is there whichever of them is killed."""

import time

from confluent_kafka.admin import AdminClient, NewTopic

from harness.case import PATIENCE_SECONDS, case, equal, eventually
from harness.cluster import Cluster

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
