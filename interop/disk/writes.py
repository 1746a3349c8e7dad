"""The same writes to Apache Kafka and to Thalweg: the same batches, indexes, snapshots and checkpoints on the disk."""

import re

from harness.case import eventually, expect

from . import answers, author, batches, dump, known, metadata
from .client import PATIENCE_SECONDS, Client

PROPERTIES = [
    *author.KEPT,
    "log.retention.check.interval.ms=300",
    "log.initial.task.delay.ms=300",
    "log.segment.delete.delay.ms=100",
]
CHECKPOINTS = [f"{name}-offset-checkpoint" for name in ("recovery-point", "log-start", "replication", "cleaner")]
# What a broker's clock says in these topics is not the writer's doing: times, and checksums that cover them.
TIMED = ("append-time", "table", "__consumer_offsets")
# A broker compresses these itself: as small as its library makes them.
RESIZED = ("recompressed",)


def write(target, home):
    """Everything that a single node does to its logs; gives the data directory of the node, which has stopped,
    and what it answered."""
    node = target.start(home, *PROPERTIES)
    client = Client(node)
    author.logs(client)
    large(client)
    author.tables(client)
    author.clean(client, node, *author.TABLES)
    author.deletions(client, node)
    author.commits(client)
    author.members(node)
    author.entities(client)
    metadata.snapshot(client, home)
    eventually(lambda: not [*home.glob("data/*/*.deleted"), *home.glob("data/*-delete")], "deleted files are gone", PATIENCE_SECONDS)
    client.close()
    found = answers.ask(node, GROUPS, ["idempotent"])
    node.stop()
    return home / "data", found


def large(client):
    """Segments and an index of the usual sizes."""
    client.create("large", segment_bytes=1 << 20)
    content = bytes(range(256)) * 120
    for number in range(80):
        records = [(author.T0 + number * 10, b"%d" % number, content[number:])]
        client.produce("large", 0, batches.build(records))


def compare_files(kafka, ours):
    """The names of all files of all partitions, and the text of checkpoints."""
    found = []
    for case, root in (("-", kafka), ("+", ours)):
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "__cluster_metadata" not in str(path))
        found.append([name for name in names if name not in (".lock",)])
    trouble = known.lines("files", *found)
    for name in CHECKPOINTS:
        trouble += known.lines(name, *[checkpoint(root / name) for root in (kafka, ours)])
    for path in sorted(kafka.glob("*/leader-epoch-checkpoint")):
        name = path.relative_to(kafka)
        if (ours / name).exists() and "__cluster_metadata" not in str(name):
            trouble += known.lines(str(name), path.read_text().splitlines(), (ours / name).read_text().splitlines())
    return trouble


def checkpoint(path):
    """The lines of a checkpoint, whose order is arbitrary; the metadata log moves by itself."""
    if not path.exists():
        return ["missing"]
    return sorted(line for line in path.read_text().splitlines() if not line.startswith("__cluster_metadata"))


GROUPS = [group for group in author.GROUPS if group != "in-transaction"]
_TIME = re.compile(r"(CreateTime|LogAppendTime|timestamp|deleteHorizonMs): (OptionalLong\[)?\d{13,}\]?")
_HORIZON = re.compile(r"(deleteHorizonMs): OptionalLong\[\d+\]")
_SIZE = re.compile(r" (position|size): \d+")
_CHECKSUM = re.compile(r" crc: \d+")


def normal(name, line):
    """A line of the dump without what the node's clock or its compression library decided."""
    topic = name.rsplit("-", 1)[0]
    if topic.startswith(TIMED):
        line = _CHECKSUM.sub("", _TIME.sub(r"\1", line) if not topic.startswith("table") else _HORIZON.sub(r"\1", line))
    if topic.startswith(RESIZED) or (topic.startswith("table-zstd") and "zstd" in line):
        line = _CHECKSUM.sub("", _SIZE.sub("", line))
    return line


def compare_dumps(kafka, ours):
    """Every batch, record, index entry and producer snapshot that the dump tool shows."""
    trouble = []
    for suffixes, options in ((dump.LOGS, ["--deep-iteration"]), ((*dump.INDEXES, *dump.SNAPSHOTS), [])):
        theirs, here = dump.dump([kafka, ours], suffixes, *options, only="[!_]*")
        for name in sorted(set(theirs) | set(here)):
            # Batches that come within one millisecond of the broker's clock share an entry.
            if name.startswith("append-time") and name.endswith(".timeindex"):
                continue
            pair = [[normal(name, line) for line in found[name]] for found in (theirs, here)]
            trouble += known.lines(name, *pair)
    return trouble


_MEMBER = re.compile(r"rdkafka-[0-9a-f-]{36}")
_OTHER_ID = re.compile(r'"(memberId|topicId)":"[^"]*"|"(metadataHash)":-?\d+')
_JSON_TIME = re.compile(r'"(\w+Timestamp)":\d{13}')


def compare_groups(kafka, ours):
    """Every record of the group coordinator, in order, but for ids and times."""

    def shown(lines):
        for line in lines:
            line = _CHECKSUM.sub("", _TIME.sub(r"\1", _JSON_TIME.sub(r'"\1"', line)))
            yield _OTHER_ID.sub(r"\1\2", _MEMBER.sub("MEMBER", line))

    theirs, here = dump.dump([kafka, ours], dump.LOGS, "--offsets-decoder", only="__consumer_offsets*")
    names = sorted(set(theirs) | set(here))
    return [line for name in names for line in known.lines(name, list(shown(theirs[name])), list(shown(here[name])))]


def check_indexes(root):
    """Kafka's sanity check of every index, and each entry against its segment."""
    for option in ("--index-sanity-check", "--verify-index-only"):
        (found,) = dump.dump([root], (".index", ".timeindex"), option)
        for name, lines in found.items():
            bad = [line for line in lines if re.search(r"mismatch|out of order|Found|Exception", line, re.I)]
            expect(not bad, f"{option}: {name}: {bad[:5]}")


def compare_metadata(kafka, ours):
    """The tree that Kafka's metadata shell shows of what each node kept of its metadata while it ran."""
    return known.lines("metadata", *[metadata.tree(metadata.kept(root.parent)) for root in (kafka, ours)])


def opens_in_kafka(target, home, found):
    """Another node opens the directory and answers what the one that wrote it answered."""
    node = target.start(home, *PROPERTIES)
    again = answers.ask(node, GROUPS, ["idempotent"])
    node.stop()
    trouble = []
    for file, lines in found.files().items():
        trouble += known.lines(file, again.files()[file], lines)
    return trouble
