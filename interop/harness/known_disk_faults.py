"""Where Thalweg does something else than Apache Kafka after a disk fault, and why; `docs/durability.md` tells of it too."""

import json
from pathlib import Path

# Words of the fault's name, and the reason.
REASONS = {
    "the last segment ends inside of a batch, stopped": "Kafka trusts .kafka_cleanshutdown and begins anew where the segment begins",
    "the last segment has garbage at its end, stopped": "Kafka trusts .kafka_cleanshutdown and leaves the garbage between batches",
    "the leader-epoch-checkpoint is": "Kafka does not start; the epochs are in the batches, and are read from there",
    "the meta.properties of the second directory": "Kafka says that nobody leads; here the error says why: the disk",
    "the second directory is": "Kafka says that nobody leads; here the error says why: the disk",
    "the directory of a partition is empty": "Kafka puts the empty directory aside; here it is used",
    "the newest metadata snapshot": "Kafka does not start; the snapshot before it, or the log, has all that it held",
    "partition.metadata is missing": "Kafka puts the log aside and begins an empty one under its name",
    "partition.metadata is empty": "Kafka does not start; a power failure leaves such a file, and the log is whole",
    "there is a directory that is none of a partition": "Kafka does not start",
    "a partition is in both directories": "Kafka does not start; the longer log is taken, and the other one put aside",
}
KNOWN = Path(__file__).resolve().parent.parent / "cases" / "disk_faults_known.json"


def listed():
    """By the fault's name: the parts in which the two differ, as they are here."""
    return json.loads(KNOWN.read_text())


def unknown(known, differences):
    """The differences of a fault that are not known."""
    return {path: both for path, both in differences.items() if path not in known or known[path] != both[0]}


def vanished(known, differences):
    """The parts of a fault that are listed as different, and are as in Apache Kafka now."""
    return [path for path in known if path not in differences]


def without_ground(faults):
    """What is listed and speaks of no fault, and faults that are listed without a reason."""
    names = {fault.name for fault in faults}
    known = listed()
    yield from (f"{name}: it is listed in {KNOWN.name}, but there is no such fault" for name in known if name not in names)
    yield from (f"{name}: it is listed without a reason" for name in known if not any(words in name for words in REASONS))
    yield from (f"{words}: this reason belongs to no listed fault" for words in REASONS if not any(words in name for name in known))
