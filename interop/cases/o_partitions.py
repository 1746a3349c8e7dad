"""Networks that break between three nodes: whoever is cut off, what was acknowledged is there once and in order."""

import time

from harness.case import case
from harness.cluster import Cluster
from harness.network import Network

from .o_cluster import leader
from .work import Work

CUT_SECONDS = 20
RESUMED_SECONDS = 60


def others(cluster, id):
    """All nodes but one."""
    return [other for other in cluster.ids if other != id]


def through(it, *cuts, seconds=CUT_SECONDS):
    """Cuts the network in one way after the other, for `seconds` each, under a producer and a copier. A cut is a name, a function of
    network, cluster and work, and whether producers must go on meanwhile: they need not where they still reach a leader that other
    nodes do not hear, which says nothing and knows of no other leader, in Kafka as well."""
    network = Network(range(1, 4))
    cluster = Cluster(it.target, it.home / "three", 3, network=network)
    work = Work(it, cluster)
    for name, cut, goes_on in cuts:
        began, count = time.monotonic(), work.load.count()
        cut(network, cluster, work)
        if goes_on:
            work.is_acknowledged(f"while {name}", RESUMED_SECONDS)
            it.note(f"{name}: acknowledged after {time.monotonic() - began:.1f} s")
        time.sleep(max(0, seconds - (time.monotonic() - began)))
        network.heal()
        began = time.monotonic()
        work.goes_on(f"after {name}")
        work.whole(f"after {name}")
        it.note(f"whole {time.monotonic() - began:.1f} s after {name}")
    work.finish(it)
    cluster.stop()


@case("partitions/a_leader_is_cut_off", own_node=True, slow=True, seconds=900)
def leader_alone(it):
    def gone(network, cluster, work):
        network.unplug(leader(work.admin, work.source))

    def isolated(network, cluster, work):
        network.isolate(leader(work.admin, work.source))

    def deaf(network, cluster, work):
        network.deafen(leader(work.admin, work.source))

    def from_followers(network, cluster, work):
        victim = leader(work.admin, work.source)
        for other in others(cluster, victim):
            if other != cluster.quorum_leader():
                network.part(victim, other)

    through(
        it,
        ("the leader's machine is cut off", gone, True),
        ("only clients reach the leader", isolated, False),
        ("the leader hears no other node", deaf, False),
        ("a leader and a follower do not hear each other", from_followers, True),
    )


@case("partitions/the_active_controller_is_cut_off", own_node=True, slow=True, seconds=900)
def controller_alone(it):
    def gone(network, cluster, work):
        network.unplug(cluster.quorum_leader())

    def from_one(network, cluster, work):
        active = cluster.quorum_leader()
        network.part(active, others(cluster, active)[0])

    def deaf(network, cluster, work):
        network.deafen(cluster.quorum_leader())

    def dumb(network, cluster, work):
        active = cluster.quorum_leader()
        for other in others(cluster, active):
            network.cut(active, other)

    through(
        it,
        ("the active controller's machine is cut off", gone, True),
        ("the active controller and a follower do not hear each other", from_one, False),
        ("the active controller hears no other node", deaf, False),
        ("no other node hears the active controller", dumb, False),
    )


@case("partitions/nodes_are_cut_off_for_a_minute", own_node=True, slow=True, seconds=900)
def for_a_minute(it):
    def leader_gone(network, cluster, work):
        network.unplug(leader(work.admin, work.source))

    def controller_gone(network, cluster, work):
        network.unplug(cluster.quorum_leader())

    def all_apart(network, cluster, work):
        for id in cluster.ids:
            network.isolate(id)

    through(
        it,
        ("the leader's machine is cut off", leader_gone, True),
        ("the active controller's machine is cut off", controller_gone, True),
        ("no node hears another", all_apart, False),
        seconds=60,
    )
