"""Has Apache Kafka write small data directories with everything in them, and records what Kafka answers about them."""

import hashlib
import re
import shutil
import subprocess
import time

from harness import nodes
from harness.case import eventually, expect

from . import answers, archive, batches, metadata
from .client import PATIENCE_SECONDS, Client

T0 = 1_700_000_000_000
FUTURE = 4_102_444_800_000  # 2100: what is this young expires for nobody
SMALL = {"internal_segment_bytes": 1500, "index_interval_bytes": 200}
TABLE = {"cleanup_policy": "compact", "min_cleanable_dirty_ratio": "1.0", "segment_ms": 1000, "delete_retention_ms": 10**15}
ALICE, ALICE_PASSWORD = "alice", b"alice-secret"

# What every node needs that opens the directories: nothing expires and no segment is rolled by its age, however old the
# fixtures are, and they stay small.
KEPT = [
    "log.retention.ms=-1",
    "log.roll.ms=3155760000000",
    "offsets.retention.minutes=2147483647",
    "producer.id.expiration.ms=2147483647",
    "transactional.id.expiration.ms=2147483647",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=3600000",
    "log.message.timestamp.after.max.ms=9223372036854775807",
    "log.index.size.max.bytes=8192",
    "offsets.topic.num.partitions=2",
    "transaction.state.log.num.partitions=2",
    "share.coordinator.state.topic.num.partitions=2",
    "log.cleaner.backoff.ms=100",
    "metadata.log.max.record.bytes.between.snapshots=2000",
]
# What Kafka needs beside that: who may do what, and who may ask for delegation tokens.
GUARDED = [
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS",
    "allow.everyone.if.no.acl.found=true",
]
TOKENS = [
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms=SCRAM-SHA-256",
    "listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "delegation.token.secret.key=secret",
    "delegation.token.max.lifetime.ms=3155760000000",
    "delegation.token.expiry.time.ms=3155760000000",
]
QUICK = ["log.retention.check.interval.ms=300", "log.initial.task.delay.ms=300"]


OLDER = "older"


def properties(home, name=None):
    """What every node needs on a fixture in `home`: both log directories, and the voters where they do not stand in the log."""
    given = [f"log.dirs={home}/data,{home}/data2", *KEPT]
    if name == OLDER:
        listeners = re.search(r"CONTROLLER://(\S+)", nodes.server_properties(home, []).read_text())
        given.append(f"controller.quorum.voters=1@{listeners[1]}")
    return given


def record(root, names, say):
    """Writes fixtures anew: all, or those that are named."""
    if not names or OLDER in names:
        older(root, say)
    if not names or {"clean", "killed"} & set(names):
        lives(root, say)


def older(root, say):
    """A directory that was formatted for an older version: static voters, metadata of 3.9, features of those days."""
    home = root / OLDER
    home.mkdir()
    (home / "data2").mkdir()
    given = properties(home, OLDER)
    config = nodes.server_properties(home, given)
    tool("kafka-storage.sh", "format", "-t", "older-than-4-0-AAAAAAA", "--release-version", "3.9", "-c", config)
    node = nodes.Kafka().start(home, *given, *GUARDED, *QUICK)
    say("writing what is older")
    client = Client(node)
    logs(client)
    tables(client)
    clean(client, node, *TABLES)
    deletions(client, node)
    client.create("ledger", **SMALL)
    one = Transactional(client, "one")
    for turn in range(4):
        one.write("ledger", range(turn * 3, turn * 3 + 3), "one")
        one.end(turn % 2 == 0)
    commits(client)
    LEFT_ALONE.append(member(node, "of-classic-members", "classic"))
    client.configure(2, "spread", retention_bytes="1000000000", max_message_bytes="123456")
    client.configure(4, "", message_max_bytes="900000")
    scram(client, ALICE, ALICE_PASSWORD, 1, "sha256")
    quotas(client)
    acls(client)
    metadata.snapshot(client, home)
    client.close()
    node.kill()
    keep(root, home, OLDER, say)


def lives(root, say):
    """A directory with two lives that was stopped cleanly, and the same when its third life has ended badly."""
    home = root / "author"
    node, sasl = start(home)
    say("writing")
    client = Client(node)
    first(client, node)
    tokens(home, node, sasl)
    share(client, node)
    client.close()
    node.stop()
    node, _ = start(home)  # the second life of every log: a new leader epoch
    client = Client(node)
    second(client, node)
    client.close()
    node.stop()
    keep(root, home, "clean", say)
    node, _ = start(home)
    client = Client(node)
    LEFT_ALONE.extend(third(client, node))
    node.kill()
    client.close()
    tear(home)
    keep(root, home, "killed", say)


def start(home):
    """Starts Kafka with everything that the fixtures need; gives the address for SASL as well."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "data2").mkdir(exist_ok=True)
    (sasl,) = nodes.free_ports(1)
    base = nodes.server_properties(home, []).read_text()
    listeners = next(line for line in base.splitlines() if line.startswith("listeners="))
    both = [f"{word}{listeners.removeprefix('listeners=')},SASL://127.0.0.1:{sasl}" for word in ("listeners=", "advertised.listeners=")]
    node = nodes.Kafka().start(home, *properties(home), *GUARDED, *TOKENS, *QUICK, *both)
    return node, f"127.0.0.1:{sasl}"


def value(number, word="value"):
    """A value that does not compress to nothing."""
    return f"{word} {number} {hashlib.sha256(str(number).encode()).hexdigest()}".encode()


def plain(client, topic, partition, count, per_batch=5, compression=0, step=100, first_number=0, producer=None, **options):
    """Batches of records with keys, some without, some with headers, timestamps now and then out of order."""
    for number in range(first_number, first_number + count, per_batch):
        records = []
        for at in range(number, number + per_batch):
            timestamp = T0 + at * step - (step * 7 if at % 11 == 10 else 0)
            key = None if at % 5 == 4 else f"key {at % 7}".encode()
            headers = [("trace", str(at).encode()), ("empty", b""), ("none", None)] if at % 4 == 3 else []
            records.append((timestamp, key, b"" if at % 9 == 8 else value(at), headers))
        given = {"producer": producer, "sequence": number - first_number} if producer else {}
        client.produce(topic, partition, batches.build(records, compression=compression, **given), **options)


def first(client, node):
    """All kinds of logs but what a second life adds."""
    logs(client)
    transactions(client)
    tables(client)
    transactional_table(client)
    clean(client, node, *TABLES, "table-transactions")
    deletions(client, node)
    commits(client)
    members(node)
    entities(client)
    acls(client)


def logs(client):
    """Logs that grow: every codec, segments by size and by time, and producers."""
    for name, code in batches.CODECS.items():
        client.create(f"codec-{name}", **SMALL)
        plain(client, f"codec-{name}", 0, 60, compression=code)
    client.create("spread", partitions=4)
    for partition in range(4):
        plain(client, "spread", partition, 10)
    client.create("recompressed", compression_type="gzip", **SMALL)
    plain(client, "recompressed", 0, 40)
    client.create("append-time", message_timestamp_type="LogAppendTime", **SMALL)
    plain(client, "append-time", 0, 20)
    client.create("by-time", segment_ms=2000)
    plain(client, "by-time", 0, 40, step=500)
    client.create("empty", partitions=2)
    idempotent(client)


def idempotent(client):
    """Producers whose last sequences are kept, for ever young."""
    client.create("idempotent", **SMALL)
    for name in range(3):
        producer = client.producer_id()
        for number in range(6):
            records = [(FUTURE + number, b"%d" % name, value(number)) for _ in range(2)]
            client.produce("idempotent", 0, batches.build(records, producer=producer, sequence=number * 2))


class Transactional:
    """A transactional producer, by the first version of the protocol (KIP-98) or by the second (KIP-890)."""

    def __init__(self, client, name, protocol=1):
        self.client, self.name, self.protocol = client, name, protocol
        client.must("FindCoordinator", 4, key_type=1, coordinator_keys=[name])
        fields = {"transaction_timeout_ms": 900000, "producer_id": -1, "producer_epoch": -1}
        self.answer = client.must("InitProducerId", 4, transactional_id=name, **fields)
        self.sequences = {}

    @property
    def producer(self):
        """Id and epoch."""
        return self.answer["producer_id"], self.answer["producer_epoch"]

    def _named(self, prefix=""):
        return {
            f"{prefix}transactional_id": self.name,
            f"{prefix}producer_id": self.producer[0],
            f"{prefix}producer_epoch": self.producer[1],
        }

    def write(self, topic, numbers, word, partition=0, timestamp=T0, compression=0):
        """One batch of the transaction that runs, which begins with the first one."""
        rows = [{"name": topic, "partitions": [partition]}]
        if self.protocol == 1:
            self.client.must("AddPartitionsToTxn", 3, v3_and_below_topics=rows, **self._named("v3_and_below_"))
        records = [(timestamp + number, f"key {number % 5}".encode(), value(number, word)) for number in numbers]
        sequence = self.sequences.get((topic, partition), 0)
        batch = batches.build(
            records, compression=compression, producer=self.producer, sequence=sequence, transactional=True
        )
        self.client.produce(topic, partition, batch, transactional_id=self.name, version=9 if self.protocol == 1 else 12)
        self.sequences[topic, partition] = sequence + len(records)

    def commit_offsets(self, group, topic, offset):
        """Offsets that count when the transaction is committed."""
        self.client.must("AddOffsetsToTxn", 3, group_id=group, **self._named())
        self.client.must("FindCoordinator", 4, key_type=0, coordinator_keys=[group])
        part = {"partition_index": 0, "committed_offset": offset, "committed_leader_epoch": -1, "committed_metadata": "in a transaction"}
        rows = [{"name": topic, "partitions": [part]}]
        fields = {"generation_id": -1, "member_id": "", "group_instance_id": None}
        self.client.must("TxnOffsetCommit", 3, group_id=group, topics=rows, **fields, **self._named())

    def end(self, is_commit):
        """Commits or aborts; by the second protocol that begins an epoch of the producer."""
        answer = self.client.must("EndTxn", 3 if self.protocol == 1 else 5, committed=is_commit, **self._named())
        if self.protocol == 2:
            self.answer, self.sequences = answer, {}


def transactions(client):
    """Two interleaved producers that commit and abort across segments, and one that has not ended."""
    client.create("ledger", **SMALL)
    one, two = Transactional(client, "one"), Transactional(client, "two")
    for turn in range(8):
        one.write("ledger", range(turn * 3, turn * 3 + 3), "one", compression=turn % 5)
        two.write("ledger", range(turn * 3, turn * 3 + 3), "two")
        plain(client, "ledger", 0, 2, per_batch=2, first_number=turn)
        one.end(turn % 3 != 1)
        two.write("ledger", range(100 + turn, 102 + turn), "two more", compression=4)
        two.end(turn % 2 == 0)
    one.write("ledger", [1], "with offsets")
    one.commit_offsets("in-transaction", "ledger", 7)
    one.end(True)
    two.write("ledger", [1], "with lost offsets")
    two.commit_offsets("in-transaction", "ledger", 3)
    two.end(False)
    four = Transactional(client, "four", protocol=2)
    for turn in range(4):
        four.write("ledger", range(turn * 2, turn * 2 + 3), "by the second protocol")
        four.end(turn % 2 == 0)
    client.create("open", **SMALL)
    plain(client, "open", 0, 4, per_batch=2)
    three = Transactional(client, "three")
    three.write("open", range(3), "aborted", timestamp=FUTURE)
    three.end(False)
    three.write("open", range(3), "open", timestamp=FUTURE)
    three.commit_offsets("in-transaction", "open", 2)
    three.commit_offsets("in-transaction", "ledger", 9)
    plain(client, "open", 0, 10, per_batch=2, first_number=10)


TABLES = {"table": batches.NONE, "table-zstd": batches.ZSTD}


def tables(client):
    """Compacted topics: values, tombstones, and an idempotent producer whose last batches may become empty."""
    for topic in TABLES:
        client.create(topic, **TABLE)
    producer = client.producer_id()
    for turn in range(5):
        for topic, code in TABLES.items():
            records = [
                (T0 + turn * 5000 + key, b"key %d" % key, None if (turn + key) % 4 == 0 else value(turn * 100 + key))
                for key in range(turn, 12)
            ]
            client.produce(topic, 0, batches.build(records[:5], compression=code, producer=producer, sequence=turn * 5))
            client.produce(topic, 0, batches.build(records[5:], compression=code))
    for topic in TABLES:  # one more, so that the rest is in closed segments
        client.produce(topic, 0, batches.build([(T0 + 60000, b"last", b"last")]))


def transactional_table(client):
    """A compacted topic with committed and aborted transactions."""
    client.create("table-transactions", **TABLE)
    writer = Transactional(client, "table writer")
    for turn in range(5):
        writer.write("table-transactions", range(turn, turn + 6), f"turn {turn}", timestamp=T0 + turn * 5000)
        writer.end(turn != 2)
    writer.write("table-transactions", [1000], "last", timestamp=T0 + 60000)
    writer.end(True)


def clean(client, node, *topics):
    """Lets the cleaner run over some topics, once."""
    for topic in topics:
        client.configure(2, topic, min_cleanable_dirty_ratio="0.0", segment_ms="100000000")
    for topic in topics:
        eventually(lambda topic=topic: is_clean(node.home, topic), f"{topic} is compacted", PATIENCE_SECONDS)
    for topic in topics:
        client.configure(2, topic, min_cleanable_dirty_ratio="1.0")


def folder(home, topic, partition=0):
    """Where a partition lies."""
    return next(path for data in ("data", "data2") if (path := home / data / f"{topic}-{partition}").exists())


def is_clean(home, topic):
    """Whether the cleaner has come as far as it can."""
    at = folder(home, topic)
    last = max(int(path.stem) for path in at.glob("*.log"))
    checkpoint = at.parent / "cleaner-offset-checkpoint"
    lines = checkpoint.read_text().splitlines() if checkpoint.exists() else []
    return last > 0 and any(line == f"{topic} 0 {last}" for line in lines)


def deletions(client, node):
    """Deleted records, and deleted topics, one of them made again."""
    client.create("shortened", **SMALL)
    plain(client, "shortened", 0, 60)
    client.delete_records("shortened", 0, 37)
    client.create("shortened-to-nothing", **SMALL)
    plain(client, "shortened-to-nothing", 0, 30)
    client.delete_records("shortened-to-nothing", 0, -1)
    for topic in ("deleted", "made-again"):
        client.create(topic, partitions=2, **SMALL)
        plain(client, topic, 0, 20)
    client.delete("deleted", "made-again")
    client.create("made-again", partitions=1)
    plain(client, "made-again", 0, 5)
    first_segment = folder(node.home, "shortened") / f"{0:020}.log"
    eventually(lambda: not first_segment.exists(), "a segment is deleted", PATIENCE_SECONDS)


def commits(client):
    """Groups: committed by hand, deleted, shrunk."""
    client.commit("by-hand", {("spread", 0): 3, ("spread", 1): 4, ("codec-lz4", 0): 60}, "noted")
    client.commit("by-hand", {("spread", 0): 5}, "again")
    client.commit("gone", {("spread", 0): 1})
    client.must("DeleteGroups", 2, groups_names=["gone"])
    client.commit("shrunk", {("spread", 0): 1, ("spread", 1): 1})
    rows = [{"name": "spread", "partitions": [{"partition_index": 1}]}]
    client.must("OffsetDelete", 0, group_id="shrunk", topics=rows)


def members(node):
    """Groups by both protocols, whose members came, read, committed and left."""
    for protocol in ("classic", "consumer"):
        member(node, f"of-{protocol}-members", protocol).close()


def member(node, group, protocol, topic="spread", count=40):
    """A member that has read a topic and committed, and still runs."""
    from confluent_kafka import Consumer

    settings = {"bootstrap.servers": node.bootstrap, "group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    consumer.subscribe([topic])
    read, deadline = 0, time.monotonic() + 60
    while read < count:
        expect(time.monotonic() < deadline, f"{group} read only {read} records")
        message = consumer.poll(1)
        read += message is not None and message.error() is None
    consumer.commit(asynchronous=False)
    return consumer


def entities(client):
    """What the metadata log holds beside topics."""
    client.configure(2, "spread", retention_bytes="1000000000", max_message_bytes="123456")
    client.configure(4, "1", log_cleaner_threads="2")
    client.configure(4, "", log_segment_bytes="2000000", message_max_bytes="900000")
    wanted = "org.apache.kafka.consumer.,org.apache.kafka.producer."
    client.configure(16, "metrics", interval_ms="30000", metrics=wanted, match="client_id=.*")
    client.configure(32, "of-consumer-members", consumer_session_timeout_ms="50000")
    client.configure(32, "of-share-members", share_auto_offset_reset="earliest")
    scram(client, ALICE, ALICE_PASSWORD, 1, "sha256")
    scram(client, ALICE, ALICE_PASSWORD, 2, "sha512")
    scram(client, "bob", b"bob-secret", 1, "sha256")
    quotas(client)


def quotas(client):
    """Client quotas of every kind of entity."""
    quota = lambda parts, **values: {
        "entity": [{"entity_type": kind, "entity_name": name} for kind, name in parts],
        "ops": [{"key": key, "value": given, "remove": False} for key, given in values.items()],
    }
    given = [
        quota([("user", "alice")], producer_byte_rate=1e9, request_percentage=500.0),
        quota([("user", None), ("client-id", "app")], consumer_byte_rate=2e9),
        quota([("client-id", None)], consumer_byte_rate=3e9),
        quota([("ip", "192.0.2.1")], connection_creation_rate=100.0),
    ]
    client.must("AlterClientQuotas", 1, entries=given, validate_only=False)


def acls(client):
    """Who may do what, which needs an authorizer."""
    acl = lambda kind, name, pattern, who, operation, permission: {
        "resource_type": kind,
        "resource_name": name,
        "resource_pattern_type": pattern,
        "principal": who,
        "host": "*",
        "operation": operation,
        "permission_type": permission,
    }
    made = [
        acl(2, "spread", 3, "User:alice", 3, 3),
        acl(2, "codec-", 4, "User:alice", 4, 2),
        acl(3, "*", 3, "User:bob", 3, 3),
        acl(4, "kafka-cluster", 3, "User:*", 8, 3),
    ]
    client.must("CreateAcls", 3, creations=made)


def scram(client, name, password, mechanism, hashed):
    """A user's credential."""
    salted = hashlib.pbkdf2_hmac(hashed, password, b"some salt", 4096)
    row = {"name": name, "mechanism": mechanism, "iterations": 4096, "salt": b"some salt", "salted_password": salted}
    client.must("AlterUserScramCredentials", 0, deletions=[], upsertions=[row])


def tokens(home, node, sasl):
    """A delegation token of alice's."""
    config = home / "alice.properties"
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    config.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n"
        f'sasl.jaas.config={module} required username="{ALICE}" password="{ALICE_PASSWORD.decode()}";\n'
    )
    arguments = ["--create", "--max-life-time-period", "-1", "--renewer-principal", "User:bob"]
    tool("kafka-delegation-tokens.sh", "--bootstrap-server", sasl, "--command-config", config, *arguments)


def share(client, node):
    """A share group that has taken some records."""
    arguments = ["--topic", "codec-none", "--group", "of-share-members", "--max-messages", "10", "--timeout-ms", "60000"]
    tool("kafka-console-share-consumer.sh", "--bootstrap-server", node.bootstrap, *arguments)


def tool(name, *arguments):
    """One of Kafka's tools; it must succeed."""
    command = [str(nodes.Kafka.script), "bin", name, *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    expect(done.returncode == 0, f"{name}: {done.stdout[-2000:]}")
    return done.stdout


def second(client, node):
    """What is written in another epoch."""
    for name, code in batches.CODECS.items():
        plain(client, f"codec-{name}", 0, 10, compression=code, first_number=60)
    again = Transactional(client, "one")  # the same id: the next epoch of its producer
    again.write("ledger", range(200, 204), "second life")
    again.end(True)
    again.write("ledger", range(210, 214), "second life, aborted")
    again.end(False)
    client.commit("by-hand", {("spread", 2): 6}, "second life")


def third(client, node):
    """What is under way when Kafka is killed."""
    plain(client, "spread", 0, 20, first_number=10)
    again = Transactional(client, "two")
    again.write("ledger", range(300, 304), "third life, aborted")
    again.end(False)
    again.write("ledger", range(310, 314), "third life, open")
    plain(client, "ledger", 0, 10, first_number=20)
    client.produce("table", 0, batches.build([(T0 + 61000, b"key 3", b"after cleaning"), (T0 + 61000, b"key 4", None)]))
    client.commit("by-hand", {("spread", 3): 7}, "third life")
    client.create("deleted-last", partitions=2, **SMALL)
    plain(client, "deleted-last", 1, 20)
    client.delete("deleted-last")
    client.delete_records("codec-none", 0, 30)
    at = folder(node.home, "codec-none")
    eventually(lambda: list(at.glob("*.log.deleted")), "a segment is about to be deleted", PATIENCE_SECONDS)
    eventually(lambda: any(node.home.glob("data*/deleted-last-*-delete")), "a topic is about to be deleted", PATIENCE_SECONDS)
    return [member(node, f"of-{protocol}-members-at-the-end", protocol, "codec-lz4", 20) for protocol in ("classic", "consumer")]


def tear(home):
    """Ends two logs in the middle of a batch, as a power failure does."""
    batch = batches.build([(T0, b"torn", value(number)) for number in range(4)])
    for topic, length in (("codec-gzip", 40), ("ledger", 200)):
        last = max(folder(home, topic).glob("*.log"), key=lambda path: int(path.stem))
        with open(last, "ab") as log:
            log.write(batch[:length])


LEFT_ALONE = []  # members whose node was killed; nobody waits for their good-bye
GROUPS = ["by-hand", "shrunk", "in-transaction", "of-classic-members", "of-consumer-members"]


def groups(name):
    """The groups of a fixture whose offsets count."""
    return ["by-hand", "shrunk"] if name == OLDER else GROUPS


def forever(name):
    """The topics of a fixture whose producers never expire."""
    return ["idempotent"] if name == OLDER else ["idempotent", "open"]


def keep(root, home, name, say):
    """Packs what Kafka left, has Kafka open a copy, and records its answers."""
    archive.pack(home, name)
    say(f"{name}: {archive.path(name).stat().st_size} bytes; asking Kafka about it")
    copy = root / f"{name}-copy"
    node = open_with(nodes.Kafka(), copy, name, *GUARDED)
    found = answers.ask(node, groups(name), forever(name))
    client = Client(node)
    found.facts["acls"] = answers.acls(client)
    found.facts["transactions"] = answers.transactions(client)
    client.close()
    node.stop()
    shutil.rmtree(copy)
    for file, lines in found.files().items():
        (archive.folder(name) / file).write_text("".join(line + "\n" for line in lines))


def open_with(target, home, name, *more):
    """A node on a fresh copy of a fixture, or once more on the copy in `home`."""
    if not home.exists():
        archive.unpack(name, home)
    return target.start(home, *properties(home, name), *more)
