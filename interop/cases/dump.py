"""Reads a segment with kafka-dump-log, as a judge of what is on the disk. No cases here."""

import re

from harness.case import equal, expect

_BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .* compresscodec: (\w+) .* isvalid: (\w+)$", re.M)
_RECORD = re.compile(r"^\| offset: (\d+) ", re.M)


class Dump:
    """What the tool said of one segment."""

    def __init__(self, text):
        self.text = text
        self.batches = _BATCH.findall(text)
        self.offsets = [int(offset) for offset in _RECORD.findall(text)]
        self.codecs = list(dict.fromkeys(codec.lower() for *_, codec, _ in self.batches))


def dump_log(it, *segments):
    """Every batch and record of some segments, in that order; fails when the tool finds anything wrong."""
    names = ", ".join(segment.name for segment in segments)
    text = dump(it, segments, "--deep-iteration", "--print-data-log")
    found = Dump(text)
    expect(all(valid == "true" for *_, valid in found.batches), f"{names}: a batch is not valid")
    equal(len(found.batches), len(re.findall(r"^baseOffset: ", text, re.M)), f"{names}: batch lines that are understood")
    equal(sum(int(count) for _, _, count, _, _ in found.batches), len(found.offsets), f"{names}: records in batches")
    for bad in ("truncated bytes", "Found timestamp mismatch", "Non-consecutive offsets"):
        expect(bad not in text, f"{names}: {bad}")
    return found


def check_indexes(it, *indexes):
    """The broker's own sanity check at start, and every entry against the segment beside it."""
    for option in ("--index-sanity-check", "--verify-index-only"):
        text = dump(it, indexes, option)
        expect(not re.search(r"mismatch|out of order|Found|Exception", text, re.I), f"{option}: {text[:2000]}")


def dump(it, files, *options):
    """Runs the tool on some files."""
    return it.java("kafka-dump-log.sh", "--files", ",".join(map(str, files)), *options, seconds=300)
