"""Thalweg's own client, in its tools, while each of three nodes is killed: nothing is lost, repeated or out of order."""

import subprocess
import threading
import time

from harness import nodes, procs
from harness.case import case, equal, eventually, expect
from harness.cluster import Cluster

from .load import PARTITIONS
from .o_cluster import create, in_sync, leader

KEYS, RATE = 12, 500
KEYED = ["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"]


class Feed(threading.Thread):
    """Lines `key:number`, so many a second, for the standard input of the console producer."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.lines, self.ended = process, [], threading.Event()
        self.start()

    def run(self):
        began = time.monotonic()
        while not self.ended.is_set():
            while len(self.lines) < (time.monotonic() - began) * RATE:
                number = len(self.lines)
                line = f"key{number % KEYS}:{number}"
                self.process.stdin.write(f"{line}\n".encode())
                self.lines.append(line)
            self.process.stdin.flush()
            time.sleep(0.01)

    def finish(self):
        """Ends the input, and waits until everything is written."""
        self.ended.set()
        self.join()
        self.process.stdin.close()
        self.process.wait(120)


def lines_of(file):
    """The whole lines of a file that somebody writes."""
    return file.read_text().split("\n")[:-1]


@case("client/nothing_is_lost_or_repeated_when_nodes_are_killed", own_node=True, slow=True, seconds=900)
def killed_nodes(it):
    tools = nodes.Thalweg()
    cluster = Cluster(it.target, it.home / "three", 3)
    topic, group = it.new_name(), it.new_name("group")
    admin = create(cluster, topic, min_insync_replicas=2)
    errors = open(it.home / "errors.txt", "wb")
    address = ["--bootstrap-server", cluster.bootstrap, "--topic", topic]
    keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    command = tools.command("console-producer", *address, *keyed)
    producer = procs.spawn(command, subprocess.DEVNULL, errors, stdin=subprocess.PIPE)
    members, files = [], [it.home / f"member{number}.txt" for number in range(2)]
    for file in files:
        command = tools.command("console-consumer", *address, "--group", group, "--from-beginning", *KEYED)
        members.append(procs.spawn(command, open(file, "wb"), errors))
    feed = Feed(producer)

    def read():
        return set().union(*map(lines_of, files))

    gaps = []
    for victim in [leader(admin, topic), *cluster.ids]:
        before = len(read())
        eventually(lambda: len(read()) > before + 2000, "the group reads on", 120)
        cluster.kill(victim)
        began, count = time.monotonic(), len(read())
        eventually(lambda: len(read()) > count + 1000, "the group reads on without the node", 120)
        gaps.append(time.monotonic() - began)
        cluster.launch(victim)
        eventually(lambda: in_sync(admin, topic) == [3] * PARTITIONS, "all replicas are in sync again", 120)
    feed.finish()
    equal(producer.returncode, 0, "the producer's exit code")
    eventually(lambda: len(read()) >= len(feed.lines), "the group has read everything", 120)
    for member in members:
        expect(member.poll() is None, "a member has ended")
        member.terminate()
        member.wait(60)
    equal(sorted(read()), sorted(feed.lines), "what the group has read")
    everything = it.command(
        *tools.command("console-consumer", *address, *KEYED, "--from-beginning", "--timeout-ms", "5000", "--max-messages", len(feed.lines) + 1), code=None
    )
    log = everything.split("\n")[:-1]
    equal(len(log), len(feed.lines), "records in the log")
    for key in range(KEYS):
        of_key = [line for line in log if line.startswith(f"key{key}:")]
        equal(of_key, [line for line in feed.lines if line.startswith(f"key{key}:")], f"records of key {key}, in order")
    it.note(f"{len(feed.lines)} records, a node killed {len(gaps)} times; the group had 1,000 more records after {', '.join(f'{gap:.1f}' for gap in gaps)} s")
    cluster.stop()
