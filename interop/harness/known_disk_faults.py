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
    "partition.metadata is missing": "Kafka puts the log aside and begins an empty one under its name",
    "partition.metadata is empty": "Kafka does not start; a power failure leaves such a file, and the log is whole",
    "there is a directory that is none of a partition": "Kafka does not start",
    "a partition is in both directories": "Kafka does not start; the longer log is taken, and the other one put aside",
}
# By the fault's name: the parts in which the two differ, as they are here.
KNOWN = Path(__file__).resolve().parent.parent / "cases" / "disk_faults_known.json"


def unknown(name, differences):
    """The differences of a fault that are not known."""
    known = json.loads(KNOWN.read_text()).get(name, {})
    return {path: both for path, both in differences.items() if path not in known or known[path] != both[0]}
