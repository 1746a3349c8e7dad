"""Groups under Kafka's own tools, and under Apache Kafka itself on the same directory."""

import re

from confluent_kafka import Consumer, KafkaException, TopicPartition

from harness import nodes
from harness.case import case, contains, equal, eventually, expect

from .j_groups import PARTITIONS, Counted, committed, python, share


def tool(it, *arguments, **options):
    """kafka-consumer-groups.sh; the lines of its output that say something."""
    out = it.java("kafka-consumer-groups.sh", "--bootstrap-server", it.bootstrap, *arguments, **options)
    return [line.rstrip() for line in out.splitlines() if line.strip()]


def rows(lines):
    """A table's rows as dictionaries by heading."""
    at = next(index for index, line in enumerate(lines) if line.startswith("GROUP"))
    heads = lines[at].split()
    return [dict(zip(heads, line.split())) for line in lines[at + 1 :]]


def commit(bootstrap, group, topic, offset):
    """Commits without joining, as soon as somebody coordinates."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    offsets = [TopicPartition(topic, partition, offset, f"at {offset}") for partition in range(PARTITIONS)]

    def committed():
        try:
            return consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return None

    eventually(committed, f"a commit of {group}")
    consumer.close()


@case("groups/kafka_consumer_groups_tool")
def groups_tool(it):
    topic, group, simple = it.topic(PARTITIONS), it.new_name("group"), it.new_name("simple")
    Counted(it.bootstrap, topic).produce(600)
    commit(it.bootstrap, simple, topic, 10)
    members = [python(it, "confluent", it.bootstrap, group, topic, client_id="reader") for _ in range(2)]
    share(members)
    contains(tool(it, "--list"), group, "--list")
    state = {line.split()[0]: line.split()[1:] for line in tool(it, "--list", "--state")}
    equal((state[group], state[simple]), (["Stable"], ["Empty"]), "--list --state")
    told = rows(tool(it, "--describe", "--group", group, "--members", "--verbose"))
    equal(sorted((row["CLIENT-ID"], row["HOST"], row["#PARTITIONS"]) for row in told), [("reader", "/127.0.0.1", "3")] * 2, "--members")
    (row,) = rows(tool(it, "--describe", "--group", group, "--state"))
    expect("Stable" in row.values() and "range" in row.values(), f"--state: {row}")
    refused = tool(it, "--delete", "--group", group, code=None)
    contains(" ".join(refused), "GroupNotEmptyException", "--delete of a group with members")
    for member in members:
        member.stop()

    def offsets():
        return [int(row["CURRENT-OFFSET"]) for row in sorted(rows(tool(it, "--describe", "--group", group)), key=lambda row: int(row["PARTITION"]))]

    equal(offsets(), [100] * PARTITIONS, "--describe")
    ways = (
        (["--to-earliest"], 0),
        (["--to-latest"], 100),
        (["--shift-by", -30], 70),
        (["--to-offset", 12], 12),
        (["--by-duration", "P1D"], 0),
        (["--to-datetime", "2100-01-01T00:00:00.000"], 100),
        (["--to-current"], 100),
    )
    for way, wanted in ways:
        tool(it, "--reset-offsets", "--group", group, "--topic", topic, *way, "--execute")
        equal(offsets(), [wanted] * PARTITIONS, f"reset {way[0]}")
    tool(it, "--delete-offsets", "--group", group, "--topic", f"{topic}:1,2", code=None)
    left = {int(row["PARTITION"]) for row in rows(tool(it, "--describe", "--group", group)) if row["CURRENT-OFFSET"] != "-"}
    expect(not {1, 2} & left or not left, f"--delete-offsets leaves {left}")
    deleted = tool(it, "--delete", "--group", group, "--group", simple)
    contains(" ".join(deleted), "was successful", "--delete")
    expect(not {group, simple} & set(tool(it, "--list")), "deleted")


@case("groups/console_consumers_of_both_protocols", own_node=True)
def console(it):
    it.use(it.start())
    topic = it.topic(PARTITIONS)
    Counted(it.bootstrap, topic).produce(300)
    for protocol in ("classic", "consumer"):
        group = it.new_name(protocol)
        arguments = ["--bootstrap-server", it.bootstrap, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", 300]
        out = it.java("kafka-console-consumer.sh", *arguments, "--command-property", f"group.protocol={protocol}")
        equal(sorted(map(int, out.split())), list(range(300)), protocol)
        equal(sum(committed(it.bootstrap, group, topic)), 300, f"committed by {protocol}")

    def shown(formatter):
        arguments = ["--bootstrap-server", it.bootstrap, "--topic", "__consumer_offsets", "--from-beginning", "--timeout-ms", 5000]
        return it.java("kafka-console-consumer.sh", *arguments, "--formatter", f"org.apache.kafka.tools.consumer.{formatter}", code=None)

    offsets = shown("OffsetsMessageFormatter")
    contains(offsets, f'"group":"{it.name.replace("/", "-").replace("_", "-")}-classic-', "OffsetsMessageFormatter")
    expect(re.search(r'"offset":50,', offsets), f"OffsetsMessageFormatter: {offsets[-500:]}")
    groups = shown("GroupMetadataMessageFormatter")
    contains(groups, '"protocolType":"consumer"', "GroupMetadataMessageFormatter")


def hand_over(it, first, second, end):
    """`first` keeps groups, `second` continues them on the same directory, and `first` again."""
    home = it.home / "node"
    node = first.start(home)
    it.use(node)
    topic, simple, old, new = it.topic(PARTITIONS), it.new_name("simple"), it.new_name("classic"), it.new_name("consumer")
    counted = Counted(it.bootstrap, topic)
    counted.produce(600)
    commit(it.bootstrap, simple, topic, 7)
    everybody = {old: [], new: []}

    def join(seconds=180):
        # A client counts the session too, and a node may take long to start.
        classic = python(it, "confluent", it.bootstrap, old, topic, session_timeout_ms=60000)
        members = {old: classic, new: python(it, "confluent", it.bootstrap, new, topic, group_protocol="consumer")}
        for group, member in members.items():
            everybody[group].append(member)
            counted.await_all(everybody[group], seconds)
        return members.values()

    members = list(join())
    # A clean end finds idle groups, kill -9 running ones whose members go on with the other node.
    for number, target in enumerate((second, first, second)):
        if end is nodes.Node.stop:
            for member in members:
                member.stop()
        else:
            eventually(lambda: all(sum(committed(it.bootstrap, group, topic)) in (0, counted.count) for group in (old, new)), "commits or none")
        end(node)
        node = target.start(home)
        equal(sum(committed(it.bootstrap, simple, topic)), 7 * PARTITIONS, f"offsets of a simple group under {target.name}")
        listed = {line.split()[0] for line in tool(it, "--list")}
        expect({simple, old, new} <= listed, f"groups under {target.name}: {listed}")
        counted = more(it, counted)
        if end is nodes.Node.stop:
            for group in (old, new):
                equal(sum(committed(it.bootstrap, group, topic)), counted.count - 600, f"offsets of {group} under {target.name}")
            members = list(join())
        for group in (old, new):
            counted.await_all(everybody[group], 90)
            equal(counted.doubles(everybody[group]), 0, f"records that {group} read twice by round {number}")
    for member in members:
        member.stop()
    for group in (old, new):
        equal(sum(committed(it.bootstrap, group, topic)), counted.count, f"offsets of {group} in the end")
    node.stop()


def more(it, counted):
    """The same count, through a producer of the node that runs now."""
    again = Counted(it.bootstrap, counted.topic)
    again.count = counted.count
    again.produce(600)
    return again


@case("durability/groups_go_on_under_apache_kafka_and_back", own_node=True, slow=True, seconds=900)
def groups_hand_over(it):
    hand_over(it, it.target, nodes.Kafka(), nodes.Node.stop)


@case("durability/members_go_on_under_apache_kafka_after_kill_9", own_node=True, slow=True, seconds=900)
def members_hand_over(it):
    hand_over(it, it.target, nodes.Kafka(), nodes.Node.kill)


@case("durability/groups_of_apache_kafka_go_on_here_and_back", own_node=True, slow=True, seconds=900)
def kafka_groups_hand_over(it):
    hand_over(it, nodes.Kafka(), it.target, nodes.Node.stop)
