"""Who leads when replicas are gone for good or for a while: eligible leader replicas (KIP-966), unclean elections, brokers that are
unregistered, features that go up and down."""

import re

from harness.case import case, contains, equal, eventually
from harness.cluster import Cluster

from .o_cluster import create, leader

SETTINGS = ["unclean.leader.election.interval.ms=1000", "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500"]


def described(it, cluster, topic):
    """What kafka-topics.sh says of partition 0: its leader, and who is in sync, eligible, and was eligible last."""
    text = it.java("kafka-topics.sh", "--bootstrap-server", cluster.bootstrap, "--describe", "--topic", topic)
    line = next(line for line in text.splitlines() if "Partition: 0\t" in line)
    fields = dict(re.findall(r"(\S+): ([\w,]*)", line))
    ids = lambda name: sorted(int(id) for id in fields.get(name, "").split(",") if id)
    return fields["Leader"], ids("Isr"), ids("Elr"), ids("LastKnownElr")


def first_leader(admin, topic):
    """Who leads partition 0 as soon as it is known."""
    return eventually(lambda: max(0, leader(admin, topic)), f"{topic} has a leader", 60)


@case("elections/an_eligible_replica_leads_and_an_unclean_leader_only_where_it_is_allowed", own_node=True, slow=True, seconds=600)
def elections(it):
    cluster = Cluster(it.target, it.home / "four", 4, *SETTINGS, controllers=[1], brokers=[2, 3, 4])
    topic = it.new_name()
    first = first_leader(create(cluster, topic, min_insync_replicas=2), topic)
    second, third = (id for id in cluster.brokers if id != first)
    becomes = lambda wanted, when: eventually(lambda: described(it, cluster, topic) == wanted, f"{wanted} {when}", 60)
    cluster.kill(third)
    becomes((str(first), sorted([first, second]), [], []), "when one is gone")
    cluster.kill(second)
    becomes((str(first), [first], [second], []), "when two are gone")
    cluster.launch(third)
    becomes((str(first), sorted([first, third]), [], []), "when enough are in sync")
    cluster.kill(third)
    becomes((str(first), [first], [third], []), "when it is gone again")
    cluster.kill(first)
    cluster.launch(second)
    becomes(("none", [], sorted([first, third]), [first]), "when nobody may lead")
    topic_of = ["--entity-type", "topics", "--entity-name", topic]
    allow = ["--alter", *topic_of, "--add-config", "unclean.leader.election.enable=true"]
    it.java("kafka-configs.sh", "--bootstrap-server", cluster.bootstrap, *allow)
    becomes((str(second), [second], [], []), "when it is allowed")
    cluster.launch(first)
    cluster.launch(third)
    becomes((str(second), cluster.brokers, [], []), "when all are back")
    cluster.stop()


@case("elections/a_broker_is_unregistered_and_comes_back", own_node=True, slow=True, seconds=600)
def unregistered(it):
    cluster = Cluster(it.target, it.home / "four", 4, *SETTINGS, controllers=[1], brokers=[2, 3, 4])
    topic = it.new_name()
    gone = first_leader(create(cluster, topic, min_insync_replicas=1), topic)
    unregister = ["kafka-cluster.sh", "unregister", "--bootstrap-server", cluster.bootstrap, "--id", gone]
    cluster.end(gone)
    contains(it.java(*unregister), f"Broker {gone} is no longer registered.", "unregistering")
    it.java(*unregister, code=1)
    contains(it.stderr, "BrokerIdNotRegisteredException", "unregistering it again")
    equal(described(it, cluster, topic)[1], [id for id in cluster.brokers if id != gone], "in sync without it")
    cluster.launch(gone)
    eventually(lambda: described(it, cluster, topic)[1] == cluster.brokers, "it is in sync again", 90)
    cluster.stop()


@case("elections/features_go_up_and_down", own_node=True, slow=True, seconds=600)
def features(it):
    cluster = Cluster(it.target, it.home / "three", 3, *SETTINGS, dynamic=True)
    for arguments, code, text in (
        ("downgrade --feature eligible.leader.replicas.version=0", 0, "eligible.leader.replicas.version was downgraded to 0."),
        ("upgrade --feature eligible.leader.replicas.version=1", 0, "eligible.leader.replicas.version was upgraded to 1."),
        ("upgrade --feature transaction.version=1", 1, "without setting the upgrade type to either safe or unsafe downgrade."),
        ("downgrade --feature transaction.version=1", 0, "transaction.version was downgraded to 1."),
        ("upgrade --feature transaction.version=2", 0, "transaction.version was upgraded to 2."),
        ("downgrade --release-version 4.0", 1, "from 30 to 25. Refusing to perform the requested downgrade"),
        ("downgrade --unsafe --release-version 3.9", 1, "Unsafe metadata downgrade is not supported in this version."),
        ("downgrade --feature kraft.version=0", 1, "Can't downgrade the version of this feature."),
        ("upgrade --feature group.version=7", 1, "Invalid update version 7 for feature group.version. Local controller"),
        ("disable --feature share.version", 0, "share.version was disabled."),
        ("upgrade --feature share.version=1 --dry-run", 0, "share.version can be upgraded to 1."),
        ("describe", 0, "Feature: share.version                             SupportedMinVersion: 0"),
        ("upgrade --release-version 4.3", 0, "share.version was upgraded to 1."),
    ):
        out = it.java("kafka-features.sh", "--bootstrap-server", cluster.bootstrap, *arguments.split(), code=code)
        contains(" ".join((out + it.stderr).split()), " ".join(text.split()), arguments)
    cluster.stop()
