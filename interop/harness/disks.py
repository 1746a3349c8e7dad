"""Disk faults: a directory that a node wrote is damaged, the node is started on it, and what clients see and what the
directory looks like afterwards is told in a few lines that can be compared between Thalweg and Apache Kafka.

The node has two log directories: `a` with the metadata log and one topic, `b` with another topic, of 3 segments.
"""

import argparse
import functools
import json
import re
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

from . import frames, nodes, wire
from .case import eventually

PRODUCER = 4000
TIME = int(time.time()) * 1000  # what is older than a day is forgotten of a producer
RECORDS = 10  # in a batch; a segment of 1 MiB holds ten batches
BATCHES = 28
SETTINGS = (
    "log.initial.task.delay.ms=100",
    "log.flush.offset.checkpoint.interval.ms=500",
    "log.flush.start.offset.checkpoint.interval.ms=500",
    "replica.high.watermark.checkpoint.interval.ms=500",
    "metadata.log.max.record.bytes.between.snapshots=300",
    "broker.heartbeat.interval.ms=200",
)
SETTINGS_OF_TOPICS = {"segment_bytes": 1 << 20, "index_interval_bytes": 4096, "retention_ms": -1}
ERRORS = {
    -1: "UNKNOWN_SERVER_ERROR", 0: "ok", 1: "OFFSET_OUT_OF_RANGE", 2: "CORRUPT_MESSAGE", 3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE", 6: "NOT_LEADER_OR_FOLLOWER", 7: "REQUEST_TIMED_OUT", 45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    56: "KAFKA_STORAGE_ERROR", 57: "LOG_DIR_NOT_FOUND", 59: "UNKNOWN_PRODUCER_ID",
}  # fmt: skip


def name_of(error):
    return ERRORS.get(error, f"error {error}")


@functools.cache
def batch(number, size=10_000):
    """The batch with this number; all of them come from one idempotent producer."""
    records = [(b"%d" % number, b"%c" % (97 + number % 26) * size) for _ in range(RECORDS)]
    return frames.batch(records, TIME, producer=PRODUCER, epoch=0, sequence=number * RECORDS)


def properties(home, *more):
    return [f"log.dirs={home}/a,{home}/b", *SETTINGS, *more]


class Nodes:
    """Starts nodes of one kind on homes of two directories."""

    def __init__(self, target):
        self.target = target

    def start(self, home, *more, **options):
        if self.target.name == "kafka" and not (home / "a" / "meta.properties").exists() and not (home / "base.properties").exists():
            config = nodes.server_properties(home, properties(home, *more))
            cluster = nodes.run_quietly(self.target.storage("random-uuid")).split()[-1]
            nodes.run_quietly(self.target.storage("format", "--standalone", "-t", cluster, "-c", config))
        elif self.target.name == "kafka":
            # The format tool of `Kafka.start` looks for a directory that these nodes do not have.
            config = nodes.server_properties(home, properties(home, *more))
            process, _ = nodes.launch([str(self.target.script), "node", str(config)], home)
            return nodes.started(process, home, config, is_java=True, **options)
        if self.target.name == "kafka":
            return self.start(home, *more, **options)
        return self.target.start(home, *properties(home, *more), **options)

    def prepare(self, home, count):
        """Makes `home`/stopped and `home`/killed, with so many topics that are alike; tells their names, and the two by which
        directories are known: the one in `b` and the one in `a`."""
        node = self.start(home / "node")
        data, other, alike = fill(node, count)
        wait_for_checkpoints(home / "node", data)
        node.stop()
        copy(home / "node", home / "stopped")
        node = self.start(home / "node")
        with frames.Connection(node.address) as connection:
            for topic in (data, *alike):
                for number in (BATCHES, BATCHES + 1):
                    assert settled(lambda: wire.produce(connection, topic, batch(number)))[0] == 0
        wait_for_checkpoints(home / "node", data)
        node.kill()
        copy(home / "node", home / "killed")
        shutil.rmtree(home / "node")
        return data, other, alike


def copy(home, to):
    """A home without what the node printed."""
    shutil.copytree(home, to, symlinks=True, ignore=shutil.ignore_patterns("node*.log", ".lock"))


def fill(node, count):
    """Creates a topic in each directory; gives the one in `b`, which has three segments, the other one, and more like the first."""
    with frames.Connection(node.address) as connection:
        placed = {}
        for name in ("one", "two", "three", "four"):
            if len(placed) == 2:
                break
            assert wire.create_topic(connection, name, **SETTINGS_OF_TOPICS) == 0
            eventually(lambda: any((node.home / place / f"{name}-0").exists() for place in "ab"), f"{name} has a directory")
            place = "a" if (node.home / "a" / f"{name}-0").exists() else "b"
            placed.setdefault(place, name)
        data, other = placed["b"], placed["a"]
        alike = [f"alike{number:02}" for number in range(count)]
        for topic in alike:
            assert wire.create_topic(connection, topic, **SETTINGS_OF_TOPICS) == 0
        for topic in (data, *alike):
            for number in range(BATCHES):
                assert settled(lambda: wire.produce(connection, topic, batch(number)))[0] == 0
        for number in range(5):
            assert settled(lambda: wire.produce(connection, other, batch(number, 100)))[0] == 0
        assert wire.delete_records(connection, other, 5) == 0
    return data, other, alike


def settled(ask, seconds=120):
    """An answer of (error, ...), asked again while the node says that it is not yet ready."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer[0] not in (3, 5, 6) or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)


def wait_for_checkpoints(home, data):
    def written():
        points, starts = home / "b/recovery-point-offset-checkpoint", home / "a/log-start-offset-checkpoint"
        if not points.exists() or not starts.exists():
            return False
        active = max(int(path.stem) for path in (home / "b" / f"{data}-0").glob("*.log"))
        lines = points.read_text().splitlines()[2:]
        return any(int(line.split()[2]) >= active for line in lines if line.startswith(f"{data} 0 ")) and " 5" in starts.read_text()

    eventually(written, "the checkpoints are written", 60)
    folder = home / "a/__cluster_metadata-0"
    eventually(lambda: any(int(path.stem.split("-")[0]) > 0 for path in folder.glob("*.checkpoint")), "a metadata snapshot is written", 60)


def run(of, home, base, fault, data, other, keep=None):
    """Damages a copy of a base with `fault`, starts a node there, and tells what is found."""
    shutil.rmtree(home, ignore_errors=True)
    copy(base, home)
    place = Place(home, data, other)
    undo = fault.harm(place) if fault.harm else None
    try:
        return watched(of, place, fault)
    finally:
        if undo:
            undo()
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def run_shared(of, home, base, faults, topics, data, other):
    """Does each fault to a partition of its own, starts a node once, and tells what has become of each partition."""
    shutil.rmtree(home, ignore_errors=True)
    copy(base, home)
    places = {fault: Place(home, topics[fault.harm], other) for fault in faults}
    for fault, place in places.items():
        fault.harm(place)
    began = time.monotonic()
    node = of.start(home)
    try:
        found = {}
        with frames.Connection(node.address) as connection:
            for fault, place in places.items():
                found[fault.name] = {"data": look_at(connection, place.data, 10_000)}
            whole = look_at(connection, data, 10_000)
        node.stop()
        for fault, place in places.items():
            found[fault.name]["data-0"] = files_of(place.partition)
            found[fault.name]["stop"] = "clean" if all((home / name / ".kafka_cleanshutdown").exists() for name in "ab") else "not clean"
        print(f"{len(faults)} faults of partitions, {time.monotonic() - began:.1f} s; the one without any: {whole}", file=sys.stderr, flush=True)
        return found
    finally:
        if node.alive():
            node.kill()


def watched(of, place, fault):
    node = of.start(place.home, wait=False)
    found = {}
    try:
        try:
            nodes.wait_ready(node)
        except AssertionError:
            if node.alive():
                raise
            return {"start": "it ends with an error" if node.process.returncode else "it ends"}
        found["start"] = "it serves"
        if fault.live:
            fault.live(place, node, found)
        look(place, node, found)
        if not node.alive():
            found["start"] = "it ended while it served"
            return found
        try:
            node.stop()
        except AssertionError as trouble:
            found["stop"] = str(trouble).split(":")[0]
    finally:
        if node.alive():
            node.kill()
    if not fault.live:
        found["files"] = listing(place)
    return found


def look(place, node, found):
    """What clients see."""
    with frames.Connection(node.address) as connection:
        for label, topic, size in (("other", place.other, 100), ("data", place.data, 10_000)):
            found[label] = look_at(connection, topic, size)
        dirs = wire.describe_log_dirs(connection)
    relabel = {place.data: "data", place.other: "other"}
    found["dirs"] = {
        Path(path).name: f"{name_of(error)}: {' '.join(sorted(relabel.get(part[0], part[0]) for part in parts))}".strip(": ")
        for path, (error, parts) in sorted(dirs.items())
    }


def look_at(connection, topic, size):
    ask = settled(lambda: wire.list_offsets(connection, topic, -2), 10)
    if ask[0]:
        produced = wire.produce(connection, topic, batch(99, size))
        error = wire.fetch(connection, topic, 0)[0]
        return f"offsets {name_of(ask[0])}, fetch {name_of(error)}, produce {name_of(produced[0])}"
    earliest, latest = ask[1], wire.list_offsets(connection, topic, -1)[1]
    told = [f"{earliest} to {latest}", f"read {read_all(connection, topic, earliest, size)}"]
    if latest >= RECORDS:
        # The last batch again: a node that knows its producers recognizes it.
        number = latest // RECORDS - 1
        error, offset = wire.produce(connection, topic, batch(number, size))
        told.append("repeated " + (name_of(error) if error else "recognized" if offset < latest else "taken"))
    error, offset = wire.produce(connection, topic, frames.batch([(b"new", b"new")], TIME))
    told.append(f"then {name_of(error)}" if error else f"then {offset}")
    return ", ".join(told)


def read_all(connection, topic, offset, size):
    """The ranges of offsets that can be read from here on, and what ends them."""
    ranges, tries = [], 0
    while True:
        error, high_watermark, _, records = wire.fetch(connection, topic, offset)
        if error:
            return shown(ranges) + f" then {name_of(error)}"
        batches = list(wire.batches_of(records))
        if not batches:
            return shown(ranges) + ("" if offset >= high_watermark else f" then nothing at {offset}")
        for base, after, raw in batches:
            if raw != batch(base // RECORDS, size)[16:]:
                return shown(ranges) + f" then something else at {base}"
            if ranges and ranges[-1][1] == base:
                ranges[-1][1] = after
            else:
                ranges.append([base, after])
        if batches[-1][1] <= offset:
            tries += 1
            if tries > 3:
                return shown(ranges) + f" then the same again at {offset}"
        offset = max(offset, batches[-1][1])


def shown(ranges):
    return " ".join(f"{first}-{after - 1}" for first, after in ranges) or "nothing"


# Files that one of the two writes and nobody misses.
UNTOLD = {".lock", "bootstrap.checkpoint", "__cluster_metadata-0", "meta.properties"}


def listing(place):
    """What stands in the directories after the node has stopped; random parts of names are left out."""
    found = {}
    for label in "ab":
        folder = place.home / label
        if not folder.is_dir():
            found[label] = "gone"
            continue
        names = []
        for path in sorted(folder.iterdir()):
            if path.name in UNTOLD or path.name in ("lost+found", "ballast"):
                continue
            name = re.sub(r"\.[0-9a-f]{32}-", ".ID-", path.name)
            for label_of, topic in (("data", place.data), ("other", place.other)):
                if name.startswith((f"{topic}-0/", f"{topic}-0.")) or name == f"{topic}-0":
                    name = label_of + name[len(topic) :]
            names.append(name + "/" * path.is_dir())
        found[label] = " ".join(sorted(names))
    if place.partition.is_dir():
        found["data-0"] = files_of(place.partition)
    return found


def files_of(folder):
    """The files of a partition and their lengths."""
    return " ".join(f"{path.name.lstrip('0') or path.name}:{path.stat().st_size}" for path in sorted(folder.iterdir()))


class Place:
    """The home of a node, and where things are in it."""

    def __init__(self, home, data, other):
        self.home, self.data, self.other = home, data, other
        self.a, self.b = home / "a", home / "b"
        here = self.a / f"{data}-0"
        self.partition = here if here.exists() else self.b / f"{data}-0"
        self.metadata = self.a / "__cluster_metadata-0"

    def segment(self, number, suffix=".log"):
        """A file of the first (0), middle (1) or last (2) segment."""
        logs = sorted(self.partition.glob("*.log"))
        return logs[number].with_suffix(suffix)

    def batch_at(self, number, index):
        """The position of a batch in a segment."""
        raw, at = self.segment(number).read_bytes(), 0
        for _ in range(index):
            at += 12 + struct.unpack_from(">i", raw, at + 8)[0]
        return at


class Fault:
    """What is done to a directory: `harm(place)` before the start (it may give an undo), `live(place, node, found)` later.
    Those that are `shared` harm one partition, and many of them are looked at with one start."""

    def __init__(self, name, base, harm=None, live=None, shared=False):
        self.name, self.base, self.harm, self.live, self.shared = name, base, harm, live, shared


LAST_BYTES = 74  # the batch that is produced in the end
RECORDED = Path(__file__).resolve().parent.parent / "cases" / "disk_faults.json"


def main(arguments):
    """The command line of interop/disk-faults."""
    from . import disk_faults, known_disk_faults

    parser = argparse.ArgumentParser(prog="interop/disk-faults", description="What disk faults do, beside what they do to Apache Kafka.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="faults whose names have one of these words")
    parser.add_argument("--record", action="store_true", help="run Apache Kafka, and keep what is found")
    parser.add_argument("--against", choices=["thalweg", "kafka"], default="thalweg", help="which node to start")
    parser.add_argument("--show", action="store_true", help="show everything that is found")
    parser.add_argument("--keep", metavar="DIR", help="keep the directories of the nodes there")
    options = parser.parse_args(arguments)
    chosen = [fault for fault in disk_faults.ALL if not options.words or any(word in fault.name for word in options.words)]
    of = Nodes(nodes.Kafka() if options.record or options.against == "kafka" else nodes.Thalweg())
    if of.target.name == "kafka":
        nodes.READY_SECONDS = 300
    with tempfile.TemporaryDirectory(prefix="thalweg-disks-") as root:
        home = Path(options.keep or root)
        found = find(of, home, chosen, options)
    if options.against == "kafka" or options.record:
        return 0
    listed = known_disk_faults.listed()
    wrong = [told for name, value in found.items() for told in compare(name, value, listed)]
    wrong += known_disk_faults.without_ground(disk_faults.ALL)
    print("\n".join(wrong))
    print(f"{max(0, len(found) - len(wrong))} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def record(found):
    """Keeps what was found of Apache Kafka, beside what is known of other faults."""
    from . import disk_faults

    known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    names = [fault.name for fault in disk_faults.ALL]
    known = {name: value for name, value in {**known, **found}.items() if name in names}
    RECORDED.write_text(json.dumps(dict(sorted(known.items(), key=lambda item: names.index(item[0]))), indent=1) + "\n")


def find(of, home, chosen, options):
    """What is found after each of the chosen faults."""
    found = {}
    shared = [fault for fault in chosen if fault.shared]
    if shared:
        kinds = list(dict.fromkeys(fault.harm for fault in shared))
        data, other, alike = of.prepare(home / "shared", len(kinds))
        topics = dict(zip(kinds, alike))
        for base in ("stopped", "killed"):
            some = [fault for fault in shared if fault.base == base]
            if some:
                found.update(run_shared(of, home / f"shared-{base}", home / "shared" / base, some, topics, data, other))
    if options.record:
        record(found)
    alone = [fault for fault in chosen if not fault.shared]
    if alone:
        data, other, _ = of.prepare(home / "base", 0)
    for fault in alone:
        began = time.monotonic()
        try:
            found[fault.name] = run(of, home / re.sub(r"\W+", "-", fault.name), home / "base" / fault.base, fault, data, other, options.keep)
        except Exception as trouble:  # the others go on
            found[fault.name] = {"trouble": f"{type(trouble).__name__}: {trouble}"[:400]}
        print(f"{fault.name}  {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        if options.record:
            record(found)
        if options.show:
            print(json.dumps(found[fault.name], indent=1), file=sys.stderr, flush=True)
    return found


def compare(name, found, listed):
    """What differs from the recorded and is not listed, or is listed and differs no more, as at most one text."""
    from . import known_disk_faults

    wanted = json.loads(RECORDED.read_text()).get(name)
    if wanted is None:
        return []  # nothing is recorded of Apache Kafka
    differences = {path: (here, there) for path, here, there in parts(plain(found), plain(wanted))}
    known = listed.get(name, {})
    unknown = known_disk_faults.unknown(known, differences)
    wrong = [f"  {path}\n    here:  {here}\n    Kafka: {there}" for path, (here, there) in unknown.items()]
    for path in known_disk_faults.vanished(known, differences):
        wrong.append(f"  {path}\n    it is listed in {known_disk_faults.KNOWN.name}, but there is no such difference any more")
    return [f"{name}:\n" + "\n".join(wrong)] if wrong else []


def plain(found):
    """What is found without what may well differ: sizes of all files but segments, where the last segment begins, snapshots
    of producers, what Apache Kafka keeps for a minute before it removes it, and the cleaner's checkpoint, which is not written
    while nothing is cleaned."""
    found = json.loads(json.dumps(found))
    if "when full" in found:
        found.pop("files", None)  # how many bytes fit depends on more than the node
    files = found.get("files", {})
    for label in "ab":
        if label in files:
            names = files[label].split(" ")
            files[label] = " ".join(name for name in names if name != "cleaner-offset-checkpoint" and not name.endswith("-delete/"))
    for holder in (found, files):
        if "data-0" in holder:
            holder["data-0"] = plain_files(holder["data-0"])
    return found


def plain_files(listing):
    sizes = {name: int(length) for name, length in (entry.rsplit(":", 1) for entry in listing.split(" "))}
    logs = sorted((name for name in sizes if name.endswith(".log")), key=lambda name: int(name[:-4] or 0))
    if len(logs) > 1 and sizes[logs[-1]] == LAST_BYTES:
        # Apache Kafka begins a segment with the first batch after a recovery.
        stem = logs[-1][:-4]
        sizes[logs[-2]] += LAST_BYTES
        for kind in (".log", ".index", ".timeindex"):
            sizes.pop(stem + kind, None)
    told = (item for item in sorted(sizes.items()) if not item[0].endswith((".snapshot", ".deleted")))
    return " ".join(f"{name}:{length}" if name.endswith(".log") else name for name, length in told)


def parts(found, wanted, path=""):
    """The leaves in which two trees differ."""
    if isinstance(found, dict) or isinstance(wanted, dict):
        here, there = found or {}, wanted or {}
        if isinstance(here, dict) and isinstance(there, dict):
            for key in sorted({**here, **there}):
                yield from parts(here.get(key), there.get(key), f"{path}/{key}".lstrip("/"))
            return
    if found != wanted:
        yield path, found, wanted
