"""Three nodes as /metrics shows them."""

from harness import nodes, web
from harness.case import case, equal, eventually, expect
from harness.cluster import Cluster

from .load import PARTITIONS, Load
from .o_cluster import create, in_sync, leader

PREFIX = "kafka_server_"


@case("cluster/metrics_tell_of_replicas_that_come_and_go", own_node=True, seconds=300)
def replicas(it):
    ports = dict(zip((1, 2, 3), nodes.free_ports(3)))
    each = lambda id: [f"thalweg.http.listen=127.0.0.1:{ports[id]}"]
    cluster = Cluster(it.target, it.home / "three", 3, "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500", each=each)
    topic = it.new_name()
    admin = create(cluster, topic, min_insync_replicas=1)
    load = Load(cluster.bootstrap, topic, True, rate=1000)
    eventually(lambda: load.count() > 2000, "records are acknowledged", 90)
    victim = leader(admin, topic)
    others = [id for id in cluster.ids if id != victim]

    def total(name, ids=others):
        return sum(web.Metrics(ports[id]).get(f"{PREFIX}{name}") for id in ids)

    expect(total("brokertopicmetrics_replicationbytesin_total") > 0, "followers have fetched")
    expect(total("brokertopicmetrics_replicationbytesout_total", [victim]) > 0, "the leader has given")
    equal(total("brokertopicmetrics_bytesout_total", cluster.ids), 0, "bytes that consumers were given")
    expect(total("raftchannelmetrics_request_total", cluster.ids) > 0, "controllers have asked each other")
    equal(total("replicamanager_underreplicatedpartitions"), 0, "partitions that lack a replica")
    cluster.kill(victim)
    lacking = lambda: total("replicamanager_underreplicatedpartitions") >= PARTITIONS
    eventually(lacking, "partitions lack a replica", 60)
    expanded = total("replicamanager_isrexpands_total")
    cluster.launch(victim)
    eventually(lambda: in_sync(admin, topic) == [3] * PARTITIONS, "all replicas are in sync again", 120)
    eventually(lambda: total("replicamanager_underreplicatedpartitions", cluster.ids) == 0, "no partition lacks a replica", 60)
    expect(total("replicamanager_isrexpands_total") > expanded, "replicas in sync were counted")
    load.finish()
    load.check(cluster.bootstrap)
    eventually(lambda: metric(ports[victim], "maxlag") == 0, "the follower has caught up", 60)
    cluster.stop()


def metric(port, name):
    """A number of the fetchers."""
    return web.Metrics(port).get(f"{PREFIX}replicafetchermanager_{name}", clientId="Replica")
