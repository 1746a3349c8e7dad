"""Damaged directories: Thalweg does with them what Apache Kafka does, or what `harness/known_disk_faults.py` gives a reason for."""

from harness import disk_faults, disks, known_disk_faults
from harness.case import case, expect


class Options:
    """As of the command line."""

    keep = record = show = False


def compare(it, chosen):
    found = disks.find(disks.Nodes(it.target), it.home, chosen, Options)
    listed = {} if it.is_kafka else known_disk_faults.listed()
    wrong = [told for name, value in found.items() for told in disks.compare(name, value, listed)]
    expect(not wrong, "\n".join(wrong))
    it.note(f"{len(found)} faults")


@case("disks/what_is_listed_as_different_has_its_fault_and_its_reason", own_node=True)
def listed(it):
    wrong = list(known_disk_faults.without_ground(disk_faults.ALL))
    expect(not wrong, "\n".join(wrong))
    it.note(f"{len(known_disk_faults.listed())} faults")


@case("disks/damaged_segments_indexes_and_snapshots_are_treated_as_in_apache_kafka", own_node=True)
def partitions(it):
    compare(it, [fault for fault in disk_faults.ALL if fault.shared])


@case("disks/damaged_and_missing_directories_are_treated_as_in_apache_kafka", own_node=True, slow=True, seconds=1800)
def directories(it):
    recorded = disks.json.loads(disks.RECORDED.read_text())
    compare(it, [fault for fault in disk_faults.ALL if not fault.shared and fault.name in recorded])
