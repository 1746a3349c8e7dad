"""Bytes that no client sends. They may cost their sender the connection, and nobody else anything."""

import gzip
import os
import re
import resource
import struct
import threading
import time

import cramjam
import lz4.frame
import zstandard
from confluent_kafka.admin import AdminClient, NewTopic

from harness import frames, procs
from harness.case import case, equal, eventually, expect
from harness.install import INTEROP
from harness.mutate import Barrage, Mutator

from .load import PARTITIONS, Load

SEED = 20261122
FRAMES = 100_000
MEGABYTE = 1024  # in KiB, as /proc counts


class Bystander(threading.Thread):
    """A well-behaved client beside the hostile ones: produces a record and reads it back, again and again."""

    def __init__(self, node, topic):
        super().__init__(daemon=True)
        self.node, self.topic = node, topic
        self.rounds, self.slowest, self.trouble = 0, 0.0, None
        self.peak_kb = 0
        self.ended = threading.Event()
        self.start()

    def run(self):
        try:
            with frames.Connection(self.node.address) as connection:
                while not self.ended.wait(0.02):
                    self.once(connection)
        except Exception as why:  # told by finish()
            self.trouble = why

    def once(self, connection):
        began = time.monotonic()
        value = b"round %d" % self.rounds
        answer = connection.ask(frames.produce(self.topic, 0, frames.batch([(None, value)], int(time.time() * 1000)), version=8))
        at = 4 + 2 + len(self.topic) + 4 + 4
        error, offset = struct.unpack(">hq", answer[at : at + 10])
        expect(error == 0, f"the bystander's produce got error {error}")
        answer = connection.ask(frames.fetch(self.topic, 0, offset, version=11, max_wait=5000))
        expect(value in answer, f"the bystander did not read back {value}")
        self.rounds += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.peak_kb = max(self.peak_kb, procs.rss_kb(self.node.pid))

    def finish(self):
        """Stops; fails if the bystander was ever let down."""
        self.ended.set()
        self.join(300)
        expect(self.trouble is None, f"the bystander was let down after {self.rounds} rounds: {self.trouble!r}")
        expect(self.rounds > 0, "the bystander was served")
        expect(self.slowest < 60, f"the bystander waited {self.slowest:.1f} s")


def memory_bounded(it, node, before, peak, limit_mb, what):
    """Resident memory may grow by `limit_mb`. A Java machine takes its heap when it likes, so it is only noted."""
    grown = (max(peak, procs.rss_kb(node.pid)) - before) / MEGABYTE
    it.note(f"memory {before / MEGABYTE:.0f} MB, {grown:+.1f} MB")
    expect(node.is_java or grown < limit_mb, f"{what}: memory grew by {grown:.1f} MB, the limit is {limit_mb} MB")


def compressed_batches():
    """One batch for each codec, checksums right."""
    plain = [(b"key", b"value" * 5), (None, b"x" * 100), (b"k", None)]
    whole = frames.batch(plain)
    records = whole[61:]
    snappy = cramjam.snappy.compress_raw(records)
    xerial = b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(bytes(snappy))) + bytes(snappy)
    bodies = {
        1: [gzip.compress(records)],
        2: [bytes(snappy), xerial],
        3: [lz4.frame.compress(records)],
        4: [zstandard.compress(records)],
    }
    out = [whole, frames.batch(plain, producer=1, epoch=0, sequence=0)]
    for codec, variants in bodies.items():
        for body in variants:
            tail = struct.pack(">h", codec) + whole[23:61] + body
            out.append(whole[:8] + struct.pack(">i", len(tail) + 9) + whole[12:17] + struct.pack(">I", frames.crc32c(tail)) + tail)
    return out


def corpus(topic, batches):
    """Valid requests of many APIs, classic and flexible. None creates anything that stays."""
    absent = "interop-absent"
    out = [frames.api_versions(version) for version in (0, 3, 4)]
    out += [frames.metadata([topic, absent], version) for version in (4, 9, 12)]
    out += [frames.metadata(None, version) for version in (5, 12)]
    out += [frames.produce(topic, 0, batch, version) for batch in batches for version in (3, 8, 9, 12)]
    out += [frames.produce(topic, 0, batches[0], 9, acks=acks) for acks in (0, 1)]
    out += [frames.fetch(topic, 0, 0, version) for version in (7, 11, 12)]
    out += [frames.list_offsets(topic, 0, timestamp, version) for timestamp in (-1, -2, 5) for version in (4, 6)]
    out += [frames.create_topics(absent, 1, version, validate_only=True) for version in (2, 5, 7)]
    out += [frames.create_partitions(absent, 2, version) for version in (0, 2)]
    out += [frames.delete_topics(absent, version) for version in (1, 4)]
    out += [frames.init_producer_id(version) for version in (0, 4)]
    out += [frames.describe_configs(topic, version) for version in (1, 4)]
    out += [frames.incremental_alter_configs(absent, "retention.ms", "5", version) for version in (0, 1)]
    out += [frames.describe_cluster(), frames.describe_topic_partitions(topic)]
    return out


@case("hostile/valid_frames_are_answered")
def valid(it):
    """The corpus itself is right: every request that wants an answer gets one."""
    topic = it.topic()
    with frames.Connection(it.address) as connection:
        for number, frame in enumerate(corpus(topic, compressed_batches())):
            connection.send(frame + frames.api_versions(0, 77))
            correlations = [connection.read()[0]]
            if correlations != [77]:
                correlations.append(connection.read()[0])
            api, version = struct.unpack(">hh", frame[4:8])
            silent = api == frames.PRODUCE and correlations == [77]
            expect(correlations == [1, 77] or silent, f"frame {number}, API {api} version {version}: answers to {correlations}")


@case("hostile/a_hundred_thousand_mutated_frames", own_node=True, seconds=1800)
def mutated(it):
    node = it.ephemeral("auto.create.topics.enable=false")
    topic = it.topic(word="target", bootstrap=node.bootstrap)
    quiet = it.topic(word="bystander", bootstrap=node.bootstrap)
    batches = compressed_batches()
    mutator = Mutator(SEED, corpus(topic, batches), batches, lambda batch: frames.produce(topic, 0, batch, 8))
    with frames.Connection(node.address) as connection:
        connection.ask(frames.api_versions())
    before, files = procs.rss_kb(node.pid), procs.open_files(node.pid)
    bystander = Bystander(node, quiet)
    barrage = Barrage(node.address)
    began = time.monotonic()
    barrage.run(mutator.next, FRAMES)
    took = time.monotonic() - began
    bystander.finish()
    expect(node.alive(), "the node lives")
    it.note(f"{FRAMES / took:.0f} frames/s; {barrage.outcomes}; bystander {bystander.rounds} rounds, slowest {1000 * bystander.slowest:.0f} ms")
    memory_bounded(it, node, before, bystander.peak_kb, 64, "mutated frames")
    if not node.is_java:  # Kafka does not look at a connection while one of its requests waits: mutated fetches wait for weeks
        eventually(lambda: procs.open_files(node.pid) < files + 40, "the connections are let go")
    with frames.Connection(node.address) as connection:
        expect(connection.brokers() == 1, "the node still answers")
    node.stop()


@case("hostile/half_open_requests_cost_nothing", own_node=True)
def half_open(it):
    if it.is_kafka:
        return it.note("not asked of Kafka, which takes the announced memory at once and then serves nobody")
    node = it.ephemeral()
    topic = it.topic(bootstrap=node.bootstrap)
    bystander = Bystander(node, topic)
    eventually(lambda: bystander.rounds > 20 or bystander.trouble, "the bystander has begun")
    before = procs.rss_kb(node.pid)
    connections = [frames.Connection(node.address) for _ in range(500)]
    for connection in connections:
        connection.send(struct.pack(">i", 50_000_000) + frames.produce(topic, 0, b"x" * 100)[4:104])
    rounds = bystander.rounds
    eventually(lambda: bystander.rounds > rounds + 20 or bystander.trouble, "the bystander goes on")
    bystander.finish()
    memory_bounded(it, node, before, bystander.peak_kb, 32, "500 announcements of 50 MB")
    files = procs.open_files(node.pid)
    for connection in connections:
        connection.close()
    eventually(lambda: procs.open_files(node.pid) < files - 450, "the connections are let go")
    node.stop()


@case("hostile/lying_lengths_close_only_their_connection")
def lengths(it):
    address = it.address
    with frames.Connection(address) as other:
        other.ask(frames.api_versions())
        for length in (-1, -(2**31), 2**31 - 1, 104_857_601):
            with frames.Connection(address) as connection:
                connection.ask(frames.api_versions())
                connection.send(struct.pack(">i", length) + b"\0" * 20)
                expect(connection.closed(), f"a length of {length} closes the connection")
        for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"x" * 200):
            with frames.Connection(address) as connection:
                connection.send(junk)
                expect(connection.closed(), f"{junk[:12]} closes the connection")
        with frames.Connection(address) as connection:
            connection.send(frames.request(999, 0, b""))
            expect(connection.closed(), "an unknown API closes the connection")
        other.ask(frames.api_versions())


@case("hostile/an_unknown_version_of_api_versions_is_answered")
def newer(it):
    """KIP-511: a client from the future learns what the node speaks."""
    with frames.Connection(it.address) as connection:
        answer = connection.ask(frames.request(frames.API_VERSIONS, 99, b"\0\0\0"))
        (error, count) = struct.unpack(">hi", answer[:6])
        equal(error, 35, "error code (UNSUPPORTED_VERSION)")
        row = struct.unpack(">hhh", answer[6:12])
        equal((count, row), (1, (18, 0, 4)), "the one API that it names")
        connection.ask(frames.api_versions(3))


@case("hostile/pipelined_requests_are_answered_in_order")
def pipelined(it):
    topic = it.topic(partitions=4)
    parts = []
    for number in range(0, 400, 4):
        record = frames.batch([(None, b"%d" % number)])
        parts.append(frames.produce(topic, number % 3, record, correlation=number))
        parts.append(frames.api_versions(3, number + 1))
        wait = 300 if number in (100, 200) else 0  # a fetch that must wait holds back the answers behind it
        parts.append(frames.fetch(topic, 3, 0, max_wait=wait, correlation=number + 2))
        parts.append(frames.metadata([topic], correlation=number + 3))
    with frames.Connection(it.address) as connection:
        sender = threading.Thread(target=connection.send, args=(b"".join(parts),), daemon=True)
        sender.start()
        equal([connection.read()[0] for _ in range(400)], list(range(400)), "correlation ids of the answers")


@case("hostile/a_client_that_never_reads", own_node=True)
def never_reads(it):
    """Answers that nobody takes must not pile up in memory."""
    node = it.ephemeral()
    topic = it.topic(bootstrap=node.bootstrap)
    quiet = it.topic(word="bystander", bootstrap=node.bootstrap)
    with frames.Connection(node.address) as connection:
        record = frames.batch([(None, b"z" * 900_000)])
        for _ in range(10):
            connection.ask(frames.produce(topic, 0, record, version=8))
    bystander = Bystander(node, quiet)
    eventually(lambda: bystander.rounds > 5 or bystander.trouble, "the bystander has begun")
    before = procs.rss_kb(node.pid)
    connections = [frames.Connection(node.address) for _ in range(20)]
    wish = frames.fetch(topic, 0, 0, version=11, max_bytes=5_000_000) * 500
    for connection in connections:
        connection.socket.setblocking(False)
        try:
            connection.socket.send(wish)
        except BlockingIOError:
            pass
    rounds = bystander.rounds
    eventually(lambda: bystander.rounds > rounds + 60 or bystander.trouble, "the bystander goes on")
    bystander.finish()
    memory_bounded(it, node, before, bystander.peak_kb, 96, "20 clients with 500 unread answers of 5 MB each")
    for connection in connections:
        connection.close()
    node.stop()


@case("hostile/decompression_bombs", own_node=True)
def bombs(it):
    """A few kilobytes that unpack to hundreds of megabytes."""
    node = it.ephemeral()
    topic = it.topic(bootstrap=node.bootstrap)
    quiet = it.topic(word="bystander", bootstrap=node.bootstrap)
    bystander = Bystander(node, quiet)
    eventually(lambda: bystander.rounds > 5 or bystander.trouble, "the bystander has begun")
    before = procs.rss_kb(node.pid)
    zeros = bytes(200_000_000)
    head = frames.batch([(None, b"x")])
    bodies = {1: gzip.compress(zeros, 6), 3: lz4.frame.compress(zeros), 4: zstandard.compress(zeros)}
    for codec, body in bodies.items():
        if len(body) > 1_000_000:
            continue
        tail = struct.pack(">h", codec) + head[23:61] + body
        bomb = head[:8] + struct.pack(">i", len(tail) + 9) + head[12:17] + struct.pack(">I", frames.crc32c(tail)) + tail
        for _ in range(5):
            with frames.Connection(node.address) as connection:
                connection.send(frames.produce(topic, 0, bomb, version=8))
                try:
                    connection.read()
                except frames.Closed:
                    pass
    bystander.finish()
    memory_bounded(it, node, before, bystander.peak_kb, 64, "decompression bombs")
    node.stop()


@case("hostile/random_requests_with_hostile_values", own_node=True, slow=True, seconds=3000)
def random_requests(it):
    """Half an hour (HOSTILE_SECONDS) of requests that can be decoded, with 512 descriptors for the node."""
    if it.is_kafka:
        return it.note("not asked of Kafka, whose heap is of a fixed size")
    seconds = int(os.environ.get("HOSTILE_SECONDS", "1800"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
    node = it.ephemeral()
    topic = "bystander"  # the differ spares what is called so
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(60)
    load = Load(node.bootstrap, topic, True, rate=200)
    differ = INTEROP.parent / "target" / "debug" / "differ"
    it.command("cargo", "build", "-q", "-p", "thalweg-differ")
    counts = it.command(differ, "--against", node.bootstrap, "--hostile", seconds, "--seed", SEED, seconds=seconds + 60)
    answers, kinds = (int(re.search(rf"(\d+) {what}", counts)[1]) for what in ("answers", "kinds of answers"))
    expect(answers > 20 * seconds and kinds > 200, counts)
    load.finish()
    load.check(node.bootstrap)
    it.note(f"{counts.strip()}; {load.count()} records of the bystander")
    peak = procs.rss_kb(node.pid, "VmHWM")
    expect(peak < 256 * MEGABYTE, f"the node took {peak} KiB at most")
    expect(node.alive(), "the node lives")
    node.stop()
