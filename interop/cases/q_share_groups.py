"""A share group whose members, and one of whose nodes, are killed: every record is accepted, none is lost."""

import random
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from harness import procs
from harness.case import INTEROP, case, equal, expect
from harness.cluster import Cluster

from .o_cluster import create

MEMBERS, RATE, SECONDS, LOCK_SECONDS, SEED = 20, 50, 150, 15, 1


class Members:
    """Members in processes of their own, one file for what each has seen."""

    def __init__(self, home, bootstrap, group, topic):
        self.home, self.arguments, self.count = home, [bootstrap, group, topic], 0
        home.mkdir(parents=True, exist_ok=True)
        self.running = []

    def start(self):
        """One more member."""
        self.count += 1
        file = self.home / f"member{self.count:03}.txt"
        file.touch()
        with open(self.home / "errors.txt", "a") as errors:
            command = [sys.executable, INTEROP / "cases" / "share_member.py", *self.arguments, file]
            self.running.append(procs.spawn(command, errors, errors))

    def kill_one(self, chosen):
        """kill -9 of one of them, and another takes its place."""
        victim = self.running.pop(chosen.randrange(len(self.running)))
        victim.kill()
        victim.wait()
        self.start()

    def stop(self):
        """Ends all of them."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(60)

    def seen(self):
        """What has happened to each record: a list of (time, word, why) by value."""
        happened = {}
        for file in sorted(self.home.glob("member*.txt")):
            for line in file.read_text().splitlines():
                at, word, value, *why = line.split(" ", 3)
                happened.setdefault(value, []).append((float(at), word, "".join(why)))
        return happened


def accepted(seen):
    """The records of which a member has seen that their acceptance was taken."""
    return {value for value, events in seen.items() if any(word == "accepted" for _, word, _ in events)}


@case("share/every_record_is_accepted_though_members_and_a_node_are_killed", own_node=True, slow=True, seconds=900)
def killed_members(it):
    cluster = Cluster(it.target, it.home / "three", 3, "share.coordinator.state.topic.replication.factor=3",
                      "share.coordinator.state.topic.min.isr=2", f"group.share.record.lock.duration.ms={LOCK_SECONDS}000",
                      f"group.share.min.record.lock.duration.ms={LOCK_SECONDS}000", "group.share.delivery.count.limit=10")  # fmt: skip
    topic, group, chosen = it.new_name(), it.new_name("group"), random.Random(SEED)
    create(cluster, topic, min_insync_replicas=2)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    earliest = [ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)]
    resource = ConfigResource(ConfigResource.Type.GROUP, group, incremental_configs=earliest)
    admin.incremental_alter_configs([resource])[resource].result(30)
    members = Members(it.home / "members", cluster.bootstrap, group, topic)
    for _ in range(MEMBERS):
        members.start()
    produced, killed = set(), []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "log_level": 0, "message.timeout.ms": 120_000})

    def acknowledged(error, message):
        if error is None:
            produced.add(message.value().decode())

    begun = time.monotonic()
    steps = iter([(SECONDS // 3, lambda: cluster.kill(2)), (2 * SECONDS // 3, lambda: cluster.launch(2)), (10**9, None)])
    due, step = next(steps)
    for number in range(RATE * SECONDS):
        producer.produce(topic, str(number).encode(), on_delivery=acknowledged)
        producer.poll(0)
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        if number % (3 * RATE) == 0 and number:
            members.kill_one(chosen)
        if number / RATE >= due:
            killed.append(time.time())
            step()
            due, step = next(steps)
    equal(producer.flush(120), 0, "records that wait for their acknowledgement")
    # A record that a killed member held comes again once its lock is over.
    until = time.monotonic() + 4 * LOCK_SECONDS
    while not produced <= accepted(members.seen()) and time.monotonic() < until:
        time.sleep(2)
    members.stop()
    seen = members.seen()
    never = sorted(produced - accepted(seen), key=int)
    without = [value for value in never if not any(word == "sends" for _, word, _ in seen.get(value, []))]
    node = killed[0] if killed else 0
    for value in never:
        events = [f"{at - node:+.2f} s {word} {why}" for at, word, why in seen.get(value, [])]
        print(f"     {value}: {'; '.join(events)}")
    equal(without, [], "records that no member has ever sent an acceptance for")
    for value in never:
        last = max(seen[value])
        expect(last[1] in ("sends", "failed"), f"{value} is not accepted, and nobody who had it was cut off: {seen[value]}")
    it.note(
        f"{len(produced)} records, {members.count - MEMBERS} members and a node killed; {len(never)} acceptances whose answer was cut off"
    )
    cluster.stop()
