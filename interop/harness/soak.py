"""The rounds of interop/soak; see there."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import nodes, procs, web
from .case import equal, eventually, expect
from .disk import Limited
from .install import INTEROP

LIBRARIES = ("confluent", "kafka-python", "kafkajs")
PARTITIONS = 4
DIRECTORY_BYTES = 192 << 20
CATCH_UP_SECONDS = 150


class Worker:
    """A producer or a consumer in a process of its own; what it has done stands in a file, a line for each record."""

    def __init__(self, mode, library, bootstrap, topic, home):
        self.lines = home / f"{topic}.{mode}"
        log = open(home / f"{topic}.{mode}.log", "w")
        if library == "kafkajs":
            command = ["node", INTEROP / "node" / "soak.js"]
        else:
            command = [sys.executable, "-m", "harness.soak_worker", library]
        self.process = subprocess.Popen(
            [str(part) for part in (*command, mode, bootstrap, topic, self.lines)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=procs.die_with_parent,
        )  # fmt: skip
        self.log = Path(log.name)

    def records(self):
        """`{(partition, offset): value}`; the same offset must always have the same value."""
        found = {}
        if not self.lines.exists():
            return found
        for line in self.lines.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                partition, offset, value = line.split(" ")
                key = int(partition), int(offset)
                equal(found.setdefault(key, value), value, f"{self.lines.name}: what was at {key} before")
        return found

    def count(self):
        """How many lines there are."""
        return self.lines.read_bytes().count(b"\n") if self.lines.exists() else 0

    def finish(self):
        """Lets it end what it has begun."""
        self.process.stdin.close()
        code = self.process.wait(240)
        equal(code, 0, f"{self.lines.name}: the exit code; {self.log.read_text()[-1500:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Disk(Limited):
    """A log directory of its own size."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DIRECTORY_BYTES}", "soak", path], check=True)

    def unmount(self):
        subprocess.run(["umount", self.path], check=False)


class Soak:
    """A node, its disks, and what is done to them."""

    def __init__(self, home, chance, disks):
        self.home, self.chance, self.disks = home, chance, disks
        (self.port,) = nodes.free_ports(1)
        self.records = self.kills = self.fills = self.rounds = 0
        self.start()

    def start(self):
        extra = [f"thalweg.http.listen=127.0.0.1:{self.port}", f"metadata.log.dir={self.home}/metadata"]
        if self.disks:
            extra.append("log.dirs=" + ",".join(str(disk.path) for disk in self.disks))
        self.node = nodes.Thalweg().start(self.home / "node", *extra)
        eventually(lambda: web.ask(self.port, "/readyz")[0] == 200, "the node is ready", 60)

    def round(self, number, seconds):
        """One round; `seconds` is how long it goes on doing harm."""
        from confluent_kafka.admin import AdminClient, NewTopic

        home = self.home / f"round{number}"
        home.mkdir()
        topics = [f"soak-{number}-{library}" for library in LIBRARIES]
        admin = AdminClient({"bootstrap.servers": self.node.bootstrap, "log_level": 2})
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1, config={"segment.bytes": "1048576"}) for topic in topics]).values():
            future.result(60)
        pairs = list(zip(LIBRARIES, topics))
        producers = [Worker("produce", library, self.node.bootstrap, topic, home) for library, topic in pairs]
        consumers = [Worker("consume", library, self.node.bootstrap, topic, home) for library, topic in pairs]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = [worker.count() for worker in producers]
            eventually(lambda: all(w.count() > n + 200 for w, n in zip(producers, before)), "every library produces", 120)
            time.sleep(self.chance.uniform(0.5, 3))
            self.harm(producers)
        for worker in producers:
            worker.finish()
        self.judge(producers, consumers)
        for worker in consumers:
            worker.kill()
        for future in admin.delete_topics(topics).values():
            future.result(60)
        self.rounds += 1
        shutil.rmtree(home)

    def harm(self, producers):
        """Ends the node in some way and starts it again."""
        ways = ["kill", "stop"] + (["fill", "fill"] if self.disks else [])
        way = self.chance.choice(ways)
        if way == "stop":
            self.node.stop()
        elif way == "fill":
            self.fill_up(self.chance.choice(self.disks), producers)
        if way != "stop":
            self.node.kill()
            self.kills += 1
        for disk in self.disks:
            disk.make_room()
        self.start()

    def fill_up(self, disk, producers):
        """A directory becomes full: it goes offline, and the others go on."""
        disk.fill()
        said = eventually(lambda: self.sick(), "the full directory goes offline", 60)
        expect(str(disk.path) in said, f"/healthz names it: {said}")
        before = [worker.count() for worker in producers]
        eventually(lambda: any(w.count() > n + 50 for w, n in zip(producers, before)), "the other directory goes on", 60)
        self.fills += 1

    def sick(self):
        status, text = web.ask(self.port, "/healthz")
        return text if status != 200 else None

    def judge(self, producers, consumers):
        for producer, consumer in zip(producers, consumers):
            acknowledged = producer.records()
            expect(len(acknowledged) > 500, f"{producer.lines.name}: {len(acknowledged)} records were acknowledged")

            def missing():
                consumed = consumer.records()
                return {key: value for key, value in acknowledged.items() if consumed.get(key) != value}

            deadline = time.monotonic() + CATCH_UP_SECONDS
            while lost := missing():
                expect(consumer.process.poll() is None, f"{consumer.lines.name} has ended: {consumer.log.read_text()[-1500:]}")
                expect(time.monotonic() < deadline, f"{producer.lines.name}: {len(lost)} of {len(acknowledged)} acknowledged records were not consumed: {sorted(lost.items())[:5]}")
                time.sleep(0.5)
            self.records += len(acknowledged)


def main():
    parser = argparse.ArgumentParser(prog="interop/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="thalweg-soak-"))
    print(f"seed {options.seed}, in {home}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    disks = [Disk(home / name) for name in ("disk-a", "disk-b")] if os.geteuid() == 0 else []
    if not disks:
        print("not root: no directory is filled", flush=True)
    try:
        soak = Soak(home, random.Random(options.seed), disks)
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            soak.round(soak.rounds, min(45, end - time.monotonic()))
            print(f"round {soak.rounds}: {soak.records} records acknowledged and consumed, {soak.kills} kills, {soak.fills} full directories", flush=True)
        soak.node.stop(signal.SIGTERM)
    except BaseException:
        print(f"what is left is in {home}, as far as it is no tmpfs", flush=True)
        raise
    finally:
        for disk in disks:
            disk.unmount()
    shutil.rmtree(home)
    print(f"nothing acknowledged was lost: {soak.records} records, {soak.kills} kills, {soak.fills} full directories")


if __name__ == "__main__":
    main()
