"""A Kafka Streams application whose nodes and instances are killed: under exactly_once_v2 it copies and counts every record once."""

import os
import signal
import time

from harness import procs
from harness.case import case, equal, eventually, expect
from harness.cluster import Cluster
from harness.install import streams_program

from .b_confluent import read_all
from .load import PARTITIONS, Load
from .o_cluster import create

# How long nodes are killed, how often, and how soon each is started again. `STREAMS_SECONDS=60` is a short look.
SECONDS, EVERY_SECONDS, DOWN_SECONDS, RATE = int(os.environ.get("STREAMS_SECONDS", "300")), 10, 2, 200
SETTINGS = [
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "group.streams.min.session.timeout.ms=6000",
    "group.streams.session.timeout.ms=10000",
    "group.streams.min.heartbeat.interval.ms=1000",
    "group.streams.heartbeat.interval.ms=2000",
]


class Application:
    """Two instances of `streams/StreamsWork.java` on one group, each with a state directory of its own."""

    def __init__(self, it, cluster, protocol):
        self.command, self.home = streams_program(), it.home
        self.source, self.copy, self.counts = (it.new_name(word) for word in ("source", "copy", "counts"))
        for topic in (self.source, self.copy, self.counts):
            create(cluster, topic, min_insync_replicas=2)
        self.bootstrap, self.id, self.protocol = cluster.bootstrap, it.new_name("words"), protocol
        self.instances = {number: self._spawn(number) for number in (1, 2)}

    def _spawn(self, number):
        arguments = [self.bootstrap, self.id, self.protocol, self.home / f"state{number}", self.source, self.copy, self.counts]
        with open(self.home / f"instance{number}.txt", "a") as out, open(self.home / f"instance{number}.log", "a") as log:
            return procs.spawn([*self.command, *arguments], out, log)

    def kill_and_start(self, number):
        """kill -9 of an instance, and another start on its directory."""
        self.instances[number].kill()
        self.instances[number].wait()
        self.instances[number] = self._spawn(number)

    def running(self):
        """Whether both have said that they run, and not something else since."""
        return all(self.said(number)[-1:] == ["state RUNNING"] for number in self.instances)

    def said(self, number):
        """What an instance has printed, without the times."""
        return [line.split(" ", 1)[1] for line in (self.home / f"instance{number}.txt").read_text().splitlines()]

    def replaced(self):
        """Why threads ended and were replaced."""
        return [line for number in self.instances for line in self.said(number) if line.startswith("replaced")]

    def stop(self):
        """Stops both as a supervisor does."""
        for number, process in self.instances.items():
            expect(process.poll() is None, f"instance {number} still runs: {self.said(number)[-3:]}")
            process.send_signal(signal.SIGTERM)
        for process in self.instances.values():
            process.wait(90)

    def committed(self, topic):
        """What a topic's partitions hold for those who read what is committed."""
        rows = read_all(self.bootstrap, topic, PARTITIONS, isolation_level="read_committed", seconds=120)
        return [[row for row in rows if row.partition() == partition] for partition in range(PARTITIONS)]

    def has_copied_and_counted(self, records):
        """Whether there is as much as `records` give; more would be found by `check`."""
        enough = lambda topic, wanted: sum(map(len, self.committed(topic))) >= wanted
        return enough(self.copy, records) and enough(self.counts, 2 * records)

    def check(self, sent):
        """Each record is copied once and in order, and each word of all of them counted once and in order."""
        for partition, rows in enumerate(self.committed(self.copy)):
            numbers = [int(row.value().split(b" ")[0]) for row in rows]
            equal(numbers, list(range(sent[partition])), f"copied records of partition {partition}")
        wanted, found = {}, {}
        for number in (number for count in sent for number in range(count)):
            for word in (f"a{number % 40}", f"b{number % 7}"):
                wanted[word] = wanted.get(word, 0) + 1
        for rows in self.committed(self.counts):
            for row in rows:
                found.setdefault(row.key().decode(), []).append(int.from_bytes(row.value(), "big"))
        equal(sorted(found), sorted(wanted), "counted words")
        for word, count in wanted.items():
            equal(found[word], list(range(1, count + 1)), f"counts of {word}")


def kill_nodes(cluster, application):
    """Kills each node in turn and starts it again, and in the middle an instance."""
    begun, kills = time.monotonic(), 0
    while time.monotonic() < begun + SECONDS:
        victim = cluster.ids[kills % len(cluster.ids)]
        cluster.kill(victim)
        time.sleep(DOWN_SECONDS)
        cluster.launch(victim)
        kills += 1
        if kills == SECONDS // EVERY_SECONDS // 2:
            application.kill_and_start(1)
        time.sleep(max(0, begun + kills * EVERY_SECONDS - time.monotonic()))
    return kills


def runs_on(it, protocol):
    """The application with one of the group protocols."""
    cluster = Cluster(it.target, it.home / "three", 3, *SETTINGS)
    application = Application(it, cluster, protocol)
    load = Load(cluster.bootstrap, application.source, True, rate=RATE)
    eventually(application.running, f"both instances run: {[application.said(number) for number in (1, 2)]}", 120)
    kills = kill_nodes(cluster, application)
    load.finish()
    cluster.until_all_are_there()
    ended, records = time.monotonic(), sum(load.sent)
    eventually(lambda: application.has_copied_and_counted(records), f"{records} records are copied and counted", 240)
    caught_up = time.monotonic() - ended
    application.stop()
    load.check(cluster.bootstrap)
    application.check(load.sent)
    replaced = application.replaced()
    it.note(f"{records} records through {kills} killed nodes and a killed instance; caught up after {caught_up:.1f} s, {len(replaced)} threads replaced")
    for line in replaced[:5]:
        it.note(line[:300])
    cluster.stop()


@case("streams/a_streams_group_counts_each_word_once_though_nodes_are_killed", own_node=True, slow=True, seconds=1200)
def streams_protocol(it):
    runs_on(it, "streams")


@case("streams/a_classic_group_of_streams_counts_each_word_once_though_nodes_are_killed", own_node=True, slow=True, seconds=1200)
def classic_protocol(it):
    runs_on(it, "classic")
