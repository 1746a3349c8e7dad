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
