"""Consumer groups: every client shares the work on its defaults, and loses none of it when members come, go and die."""

import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness import procs
from harness.case import PATIENCE_SECONDS, case, equal, eventually, expect
from harness.install import INTEROP
from harness.nodes import Node

PARTITIONS = 6


class Member:
    """A member in a process of its own, whose lines are read as they come."""

    def __init__(self, it, command, env=None):
        self.out = it.home / f"member{len(list(it.home.glob('member*.out')))}.out"
        with open(self.out, "w") as stdout:
            self.process = procs.spawn(command, stdout, stdout, env=env)

    def lines(self, word):
        """The rest of each line that begins with a word."""
        text = self.out.read_text()
        whole = text[: text.rfind("\n") + 1]
        return [line[len(word) :].strip() for line in whole.splitlines() if line.split(" ", 1)[0] == word]

    def records(self):
        """Partition, offset and number of each record that was handed out, in order."""
        return [tuple(map(int, line.split())) for line in self.lines("record")]

    def partitions(self):
        """What the member owns now, by the lines of an eager or a cooperative client."""
        owned = set()
        for line in self.out.read_text().splitlines():
            word, _, rest = line.partition(" ")
            named = {int(part) for part in rest.split(",") if part} if word in ("assigned", "revoked", "lost") else set()
            owned = owned | named if word == "assigned" else owned - named
        return owned

    def latest(self):
        """What the member was told last, for clients that tell everything each time."""
        told = self.lines("assigned")
        return {int(part) for part in told[-1].split(",") if part} if told else set()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """A clean end."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        expect(code in (0, 143), f"a member ended with {code}: {self.out.read_text()[-1000:]}")


class Verifiable(Member):
    """Kafka's own verifiable consumer, which tells of everything in JSON."""

    def __init__(self, it, group, topic, protocol):
        command = [INTEROP / "kafka" / "kafka", "bin", "kafka-verifiable-consumer.sh", "--bootstrap-server", it.bootstrap, "--topic", topic]
        command += ["--group-id", group, "--group-protocol", protocol, "--reset-policy", "earliest", "--verbose"]
        command += ["--session-timeout", "12000"] if protocol == "classic" else []
        super().__init__(it, command)

    def events(self, *names):
        """The events of some kinds, in order."""
        text = self.out.read_text()
        rows = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]
        return [row for row in rows if row["name"] in names]

    def records(self):
        return [(row["partition"], row["offset"], int(row["value"])) for row in self.events("record_data")]

    def partitions(self):
        owned = set()
        for row in self.events("partitions_assigned", "partitions_revoked"):
            named = {part["partition"] for part in row["partitions"]}
            owned = owned | named if row["name"] == "partitions_assigned" else owned - named
        return owned


def python(it, library, bootstrap, group, topic, **config):
    """A member of cases/member.py."""
    settings = [f"{key.replace('_', '.')}={value}" for key, value in config.items()]
    return Member(it, [sys.executable, INTEROP / "cases" / "member.py", library, bootstrap, group, topic, *settings])


def kafkajs(it, bootstrap, group, topic):
    """A member of node/member.js."""
    return Member(it, ["node", INTEROP / "node" / "member.js", bootstrap, group, topic])


class Counted:
    """A topic whose records are numbers, and who has read which."""

    def __init__(self, bootstrap, topic):
        self.topic = topic
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self.count = 0

    def produce(self, count):
        """The next numbers, over all partitions."""
        for number in range(self.count, self.count + count):
            self.producer.produce(self.topic, b"%d" % number, partition=number % PARTITIONS)
        equal(self.producer.flush(120), 0, "undelivered")
        self.count += count

    def await_all(self, members, seconds=PATIENCE_SECONDS):
        """Until every number was handed to some member."""
        wanted = set(range(self.count))
        eventually(lambda: {n for member in members for *_, n in member.records()} >= wanted, f"{self.count} records read", seconds)

    def doubles(self, members):
        """How many records were handed out more than once."""
        return sum(len(member.records()) for member in members) - self.count


def share(members, get=lambda member: member.partitions()):
    """Until the members own all partitions between them, each about as many."""

    def fair():
        owned = [get(member) for member in members]
        sizes = sorted(map(len, owned))
        return sum(sizes) == PARTITIONS and len(set().union(*owned)) == PARTITIONS and sizes[-1] - sizes[0] <= 1

    eventually(fair, f"{PARTITIONS} partitions among {len(members)} members: {[m.out.read_text()[-300:] for m in members]}")


def committed(bootstrap, group, topic):
    """The committed offsets by partition, as any client sees them. A node that has just started may not coordinate yet."""
    consumer, deadline = Consumer({"bootstrap.servers": bootstrap, "group.id": group}), time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            found = consumer.committed([TopicPartition(topic, partition) for partition in range(PARTITIONS)], 60)
            break
        except KafkaException as why:
            expect(time.monotonic() < deadline, f"offsets of {group}: {why}")
            time.sleep(0.2)
    consumer.close()
    return [max(each.offset, 0) for each in found]


def come_go_and_die(it, start, get=lambda member: member.partitions(), exact=True):
    """Members join, one leaves, one is killed, one comes back: nothing is lost, and only a killed one's work is repeated."""
    topic, group = it.topic(PARTITIONS), it.new_name("group")
    counted = Counted(it.bootstrap, topic)
    counted.produce(3000)
    first = start(it, it.bootstrap, group, topic)
    counted.await_all([first])
    second = start(it, it.bootstrap, group, topic)
    share([first, second], get)
    counted.produce(3000)
    counted.await_all([first, second])
    third = start(it, it.bootstrap, group, topic)
    share([first, second, third], get)
    counted.produce(3000)
    counted.await_all([first, second, third])
    second.stop()
    share([first, third], get)
    counted.produce(3000)
    everybody = [first, second, third]
    counted.await_all(everybody)
    if exact:
        equal(counted.doubles(everybody), 0, "records that were handed out twice although nobody died")
    killed = time.monotonic()
    third.kill()
    share([first], get)
    it.note(f"a killed member's partitions moved within {time.monotonic() - killed:.1f} s")
    counted.produce(3000)
    counted.await_all(everybody)
    fourth = start(it, it.bootstrap, group, topic)
    share([first, fourth], get)
    counted.produce(600)
    everybody.append(fourth)
    counted.await_all(everybody)
    first.stop()
    fourth.stop()
    equal(sum(committed(it.bootstrap, group, topic)), counted.count, "committed offsets")


@case("groups/librdkafka_classic")
def librdkafka_classic(it):
    come_go_and_die(it, lambda *a: python(a[0], "confluent", *a[1:]))


@case("groups/librdkafka_cooperative_sticky")
def librdkafka_cooperative(it):
    come_go_and_die(it, lambda *a: python(a[0], "confluent", *a[1:], partition_assignment_strategy="cooperative-sticky"))


SHORT_SESSIONS = [
    f"group.consumer.{name}.ms={value}"
    for name, value in (("min.session.timeout", 6000), ("session.timeout", 12000), ("min.heartbeat.interval", 500), ("heartbeat.interval", 500))
]


@case("groups/librdkafka_consumer_protocol", own_node=True)
def librdkafka_consumer(it):
    node = it.start(*SHORT_SESSIONS)
    it.use(node)
    come_go_and_die(it, lambda *a: python(a[0], "confluent", *a[1:], group_protocol="consumer"))
    node.stop()


@case("groups/java_classic")
def java_classic(it):
    come_go_and_die(it, lambda it, _, group, topic: Verifiable(it, group, topic, "classic"), exact=False)


@case("groups/java_consumer_protocol", own_node=True)
def java_consumer(it):
    node = it.start(*SHORT_SESSIONS)
    it.use(node)
    come_go_and_die(it, lambda it, _, group, topic: Verifiable(it, group, topic, "consumer"), exact=False)
    node.stop()


@case("groups/classic_and_consumer_members_in_one_group", own_node=True)
def migration(it):
    node = it.start(*SHORT_SESSIONS)
    it.use(node)
    topic, group = it.topic(PARTITIONS), it.new_name("group")
    counted = Counted(it.bootstrap, topic)
    counted.produce(600)
    old = python(it, "confluent", it.bootstrap, group, topic, partition_assignment_strategy="cooperative-sticky")
    counted.await_all([old])
    new = python(it, "confluent", it.bootstrap, group, topic, group_protocol="consumer")
    share([old, new])
    counted.produce(600)
    counted.await_all([old, new])
    old.stop()
    share([new])
    back = python(it, "confluent", it.bootstrap, group, topic, partition_assignment_strategy="cooperative-sticky")
    share([new, back])
    new.stop()
    share([back])
    counted.produce(600)
    counted.await_all([old, new, back])
    equal(counted.doubles([old, new, back]), 0, "records that were handed out twice")
    back.stop()
    equal(sum(committed(it.bootstrap, group, topic)), counted.count, "committed offsets")
    node.stop()


@case("groups/kafka_python")
def kafka_python(it):
    come_go_and_die(it, lambda *a: python(a[0], "kafka-python", *a[1:]), Member.latest)


@case("groups/kafkajs")
def kafkajs_members(it):
    # kafkajs commits after each batch: a rebalance in between repeats some.
    come_go_and_die(it, kafkajs, Member.latest, exact=False)


@case("groups/static_members_keep_their_partitions")
def static_members(it):
    topic, group = it.topic(PARTITIONS), it.new_name("group")
    counted = Counted(it.bootstrap, topic)
    counted.produce(600)

    def start(name):
        return python(it, "confluent", it.bootstrap, group, topic, group_instance_id=name, session_timeout_ms=60000)

    first, second = start("one"), start("two")
    share([first, second])
    counted.await_all([first, second])
    before, told = second.partitions(), len(first.lines("assigned"))
    second.stop()
    again = start("two")
    eventually(lambda: again.partitions() == before, "the same partitions for the same instance")
    equal(len(first.lines("assigned")), told, "assignments of the member that stayed")
    again.kill()
    back = start("two")
    eventually(lambda: back.partitions() == before, "the same partitions after kill -9")
    equal(len(first.lines("assigned")), told, "assignments of the member that stayed")
    counted.produce(600)
    counted.await_all([first, second, again, back])
    usurper = start("two")
    eventually(lambda: "_FATAL" in back.lines("error") or back.process.poll() is not None, "the member with the same instance id is fenced")
    usurper.stop()
    first.stop()
    back.kill()


@case("groups/commits_survive_kill_9_and_restarts", own_node=True)
def commits_survive(it):
    node = it.start()
    topic, group = it.topic(PARTITIONS, bootstrap=node.bootstrap), it.new_name("group")
    counted = Counted(node.bootstrap, topic)
    counted.produce(3000)
    members = [python(it, "confluent", node.bootstrap, group, topic) for _ in range(2)]
    share(members)
    counted.await_all(members)
    for end in (Node.kill, Node.stop):
        end(node)
        node = it.start()
        counted.produce(600)
        counted.await_all(members, 90)
    equal(counted.doubles(members), 0, "records that were handed out twice although every member lived on")
    for member in members:
        member.stop()
    equal(sum(committed(node.bootstrap, group, topic)), counted.count, "committed offsets")
    for end in (Node.kill, Node.stop):
        end(node)
        node = it.start()
        equal(sum(committed(node.bootstrap, group, topic)), counted.count, "committed offsets after a restart")
    node.stop()


@case("groups/first_record_of_a_new_group_comes_at_once", own_node=True)
def first_record(it):
    node = it.start()
    topic = it.topic(PARTITIONS, bootstrap=node.bootstrap)
    Counted(node.bootstrap, topic).produce(PARTITIONS)
    times, given = [], []
    for _ in range(10):
        consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": it.new_name("group"), "auto.offset.reset": "earliest"})
        consumer.list_topics(topic, 60)
        began = time.monotonic()
        consumer.subscribe([topic], on_assign=lambda *_: given.append(time.monotonic()))
        while consumer.poll(0.01) is None:
            expect(time.monotonic() < began + PATIENCE_SECONDS, "no record came")
        times.append((given[-1] - began, time.monotonic() - began))
        consumer.close()
    joined, read = (min(column) for column in zip(*times))
    it.note(f"a new group has its partitions after {1000 * joined:.0f} ms and its first record after {1000 * read:.0f} ms at best")
    # librdkafka lets 100 ms go by before it asks where an assigned partition begins.
    if not it.is_kafka:
        expect(joined < 1 and read < 2, f"at once, not after {times}: no delay of seconds waits for more members")
    node.stop()
