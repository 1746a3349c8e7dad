"""Clusters of Thalweg and Apache Kafka 4.3.1 nodes: what was acknowledged is there once and in order, whoever leads."""

import itertools

from harness import nodes
from harness.case import case
from harness.cluster import Cluster

from .work import Work


def end_and_kill(work, ids, rounds):
    """Stops and kills nodes in turn while the work goes on."""
    for victim, (how, act) in itertools.islice(itertools.product(ids, (("stopped", work.cluster.end), ("killed", work.cluster.kill))), rounds):
        act(victim)
        work.goes_on(f"while node {victim} is {how}")
        work.cluster.launch(victim)
        work.whole(f"after node {victim} was {how}")


@case("mixed/a_kafka_broker_under_thalweg_controllers", own_node=True, slow=True, seconds=900)
def kafka_broker(it):
    targets = lambda id: nodes.Kafka() if id == 2 else nodes.Thalweg()
    cluster = Cluster(it.target, it.home / "mixed", 3, targets=targets, controllers=[1])
    work = Work(it, cluster)
    end_and_kill(work, [2, 3], 4)
    work.finish(it)
    cluster.stop()


@case("mixed/a_thalweg_broker_under_kafka_controllers", own_node=True, slow=True, seconds=900)
def thalweg_broker(it):
    targets = lambda id: nodes.Thalweg() if id == 2 else nodes.Kafka()
    cluster = Cluster(it.target, it.home / "mixed", 3, targets=targets, controllers=[1])
    work = Work(it, cluster)
    end_and_kill(work, [2, 3], 4)
    work.finish(it)
    cluster.stop()


def quorum_of_both(it, dynamic):
    targets = lambda id: nodes.Kafka() if id == 3 else nodes.Thalweg()
    cluster = Cluster(it.target, it.home / "mixed", 3, targets=targets, dynamic=dynamic)
    work = Work(it, cluster)
    leaders = []
    for _ in range(4):
        leaders.append(cluster.quorum_leader())
        cluster.kill(leaders[-1])
        work.goes_on(f"while the active controller, node {leaders[-1]}, is killed")
        cluster.launch(leaders[-1])
        work.whole(f"after node {leaders[-1]} was killed")
    end_and_kill(work, [1, 3], 3)
    work.finish(it)
    it.note(f"active controllers were {leaders}")
    cluster.stop()


@case("mixed/a_quorum_of_both_with_static_voters", own_node=True, slow=True, seconds=1200)
def static_voters(it):
    quorum_of_both(it, dynamic=False)


@case("mixed/a_quorum_of_both_with_dynamic_voters", own_node=True, slow=True, seconds=1200)
def dynamic_voters(it):
    quorum_of_both(it, dynamic=True)


def replaced_in_place(it, dynamic):
    """Node by node from Apache Kafka to Thalweg on the same directories, and back."""
    cluster = Cluster(nodes.Kafka(), it.home / "mixed", 3, dynamic=dynamic)
    work = Work(it, cluster)
    for target in (nodes.Thalweg(), nodes.Kafka()):
        for id in cluster.ids:
            cluster.end(id)
            cluster.kinds[id] = target
            cluster.launch(id)
            work.whole(f"after node {id} has become {target.name}")
            work.goes_on(f"after node {id} has become {target.name}")
        it.note(f"all are {target.name}: {work.load.count()} records, active controller {cluster.quorum_leader()}")
    work.finish(it)
    cluster.stop()


@case("mixed/kafkas_nodes_are_replaced_in_place_and_back", own_node=True, slow=True, seconds=1500)
def replaced_dynamic(it):
    replaced_in_place(it, dynamic=True)


@case("mixed/kafkas_nodes_with_static_voters_are_replaced_in_place_and_back", own_node=True, slow=True, seconds=1500)
def replaced_static(it):
    replaced_in_place(it, dynamic=False)
