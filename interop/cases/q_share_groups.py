"""A share group whose members, and whose nodes, are killed: every record of the log is accepted once, and held by one member at a time."""

import os
import random
import sys
import time
from collections import namedtuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from harness import procs
from harness.case import INTEROP, case, equal, expect
from harness.cluster import Cluster

from .load import PARTITIONS
from .o_cluster import create

MEMBERS, RATE, LOCK_SECONDS, SEED = 20, 50, 15, 1
# How long records are produced, and how often a node is killed or started again. `SHARE_SECONDS=600` is the long run.
SECONDS, NODE_SECONDS = int(os.environ.get("SHARE_SECONDS", "150")), 50
# What a member writes down happens a little after it has happened.
SLACK_SECONDS = 1.0

Event = namedtuple("Event", "at word member why")


class Members:
    """Members in processes of their own, one file for what each has seen."""

    def __init__(self, home, bootstrap, group, topic):
        self.home, self.arguments, self.count = home, [bootstrap, group, topic], 0
        home.mkdir(parents=True, exist_ok=True)
        self.running = []
        self.killed = {}

    def start(self):
        """One more member."""
        self.count += 1
        file = self.home / f"member{self.count:03}.txt"
        file.touch()
        with open(self.home / "errors.txt", "a") as errors:
            command = [sys.executable, INTEROP / "cases" / "share_member.py", *self.arguments, file]
            self.running.append((self.count, procs.spawn(command, errors, errors)))

    def kill_one(self, chosen):
        """kill -9 of one of them, and another takes its place."""
        number, victim = self.running.pop(chosen.randrange(len(self.running)))
        victim.kill()
        victim.wait()
        self.killed[number] = time.time()
        self.start()

    def stop(self):
        """Ends all of them."""
        for _, process in self.running:
            process.terminate()
        for _, process in self.running:
            process.wait(60)

    def seen(self):
        """What has happened to each record, in order: events by value."""
        happened = {}
        for file in sorted(self.home.glob("member*.txt")):
            number = int(file.stem.removeprefix("member"))
            for line in file.read_text().splitlines():
                at, word, value, *why = line.split(" ", 3)
                happened.setdefault(value, []).append(Event(float(at), word, number, "".join(why)))
        return {value: sorted(events) for value, events in happened.items()}


def accepted(seen):
    """The records of which a member has seen that their acceptance was taken."""
    return {value for value, events in seen.items() if any(event.word == "accepted" for event in events)}


def logged(bootstrap, topic):
    """The values that stand in the log, with how often."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reads-the-log", "enable.auto.commit": False})
    values = {}
    for partition in range(PARTITIONS):
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        consumer.assign([TopicPartition(topic, partition, first)])
        while consumer.position([TopicPartition(topic, partition)])[0].offset < end:
            message = consumer.poll(30)
            expect(message is not None and message.error() is None, f"partition {partition} can be read up to {end}")
            value = message.value().decode()
            values[value] = values.get(value, 0) + 1
            if message.offset() + 1 >= end:
                break
    consumer.close()
    return values


def lags(it, bootstrap, group):
    """How many records of each partition are not done with, as kafka-share-groups.sh says."""
    out = it.java("kafka-share-groups.sh", "--bootstrap-server", bootstrap, "--describe", "--group", group, "--offsets")
    header, *rows = [line.split() for line in out.splitlines() if line.strip()]
    return [row[header.index("LAG")] for row in rows]


def troubles(events, members_killed, nodes_killed):
    """What must not have happened to a record, given when members and nodes were killed."""
    found = []
    taken = [event for event in events if event.word == "accepted"]
    if len(taken) > 1:
        found.append("it was accepted twice")
    deliveries = [event for event in events if event.word == "got"]
    for before, after in zip(deliveries, deliveries[1:]):
        if taken and taken[0].at + SLACK_SECONDS < after.at:
            found.append(f"member {after.member} got it after it was accepted")
        between = (before.at - SLACK_SECONDS, after.at + SLACK_SECONDS)
        own = [event for event in events if event.member == before.member and event.word == "failed"]
        causes = [members_killed.get(before.member, 0), *nodes_killed, *(event.at for event in own)]
        ran_out = after.at - before.at >= LOCK_SECONDS - SLACK_SECONDS
        if not ran_out and not any(between[0] <= at <= between[1] for at in causes):
            found.append(f"member {after.member} got it while member {before.member} held it")
    return found


@case("share/every_record_is_accepted_though_members_and_a_node_are_killed", own_node=True, slow=True, seconds=900)
def killed_members(it):
    cluster = Cluster(it.target, it.home / "three", 3, "share.coordinator.state.topic.replication.factor=3",
                      "share.coordinator.state.topic.min.isr=2", f"group.share.record.lock.duration.ms={LOCK_SECONDS}000",
                      f"group.share.min.record.lock.duration.ms={LOCK_SECONDS}000", "group.share.delivery.count.limit=10",
                      "auto.leader.rebalance.enable=false")  # fmt: skip
    topic, group, chosen = it.new_name(), it.new_name("group"), random.Random(SEED)
    create(cluster, topic, min_insync_replicas=2)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    earliest = [ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)]
    resource = ConfigResource(ConfigResource.Type.GROUP, group, incremental_configs=earliest)
    admin.incremental_alter_configs([resource])[resource].result(30)
    members = Members(it.home / "members", cluster.bootstrap, group, topic)
    for _ in range(MEMBERS):
        members.start()
    produced = set()
    settings = {"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True, "message.timeout.ms": 120_000}
    producer = Producer({**settings, "log_level": 0})

    def acknowledged(error, message):
        if error is None:
            produced.add(message.value().decode())

    nodes_killed, victims, begun = [], [2, 1, 3], time.monotonic()
    for number in range(RATE * SECONDS):
        producer.produce(topic, str(number).encode(), on_delivery=acknowledged)
        producer.poll(0)
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        if number % (3 * RATE) == 0 and number:
            members.kill_one(chosen)
        step, rest = divmod(number, NODE_SECONDS * RATE)
        if rest == 0 and step:
            # Each node in turn is killed, and started again as long after.
            victim = victims[(step - 1) // 2 % len(victims)]
            nodes_killed.append(time.time())
            cluster.kill(victim) if step % 2 else cluster.launch(victim)
    equal(producer.flush(120), 0, "records that wait for their acknowledgement")
    for id in cluster.ids:
        if cluster.members[id] is None:
            cluster.launch(id)
    cluster.until_all_are_there()
    log = logged(cluster.bootstrap, topic)
    equal([value for value, times in log.items() if times > 1], [], "records that stand in the log twice")
    equal(sorted(produced - log.keys(), key=int), [], "records that were acknowledged and are not in the log")
    # A record that a killed member held comes again once its lock is over; one whose acceptance was cut off may be done with.
    until = time.monotonic() + 4 * LOCK_SECONDS
    while (left := lags(it, cluster.bootstrap, group)) != ["0"] * PARTITIONS and time.monotonic() < until:
        time.sleep(2)
    members.stop()
    equal(left, ["0"] * PARTITIONS, "records of each partition that are not done with")
    judge(it, members, log, nodes_killed)
    cluster.stop()


def judge(it, members, log, nodes_killed):
    """Compares what members have seen with what stands in the log."""
    seen = members.seen()
    equal(sorted(seen.keys() - log.keys(), key=int), [], "records that were delivered and are not in the log")
    never = sorted(log.keys() - accepted(seen), key=int)
    cut_off, wrong = [], {}
    for value in never:
        # The broker has taken an acceptance that left, though its answer never came: nothing is left to be done with.
        if any(event.word == "sends" for event in seen.get(value, [])):
            cut_off.append(value)
        else:
            wrong[value] = ["nobody ever accepted it"]
    for value, events in seen.items():
        if found := troubles(events, members.killed, nodes_killed):
            wrong.setdefault(value, []).extend(found)
    for value in sorted(wrong, key=int)[:20]:
        events = "; ".join(f"{event.at % 10_000:.2f} {event.word} by {event.member} {event.why}" for event in seen.get(value, []))
        print(f"     {value}: {wrong[value]}: {events}")
    equal(sorted(wrong, key=int), [], "records whose story is wrong")
    it.note(
        f"{len(log)} records, {len(members.killed)} members killed, nodes killed or started {len(nodes_killed)} times; "
        f"{len(cut_off)} acceptances whose answer was cut off"
    )
