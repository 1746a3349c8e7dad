"""Runs the comparisons, with progress, and counts."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from harness import nodes
from harness.case import expect

from . import archive, author, fixtures, known, writes


class Run:
    """What the cases share: a directory, and the two directories that got the same writes."""

    def __init__(self, root):
        self.root = root
        self.both = None
        self.failure = None

    def written(self):
        """The data directories of Kafka and of Thalweg, and what Thalweg answered; made on first use."""
        expect(self.failure is None, f"the writes failed before: {self.failure}")
        if self.both is None:
            try:
                theirs, _ = writes.write(nodes.Kafka(), self.root / "kafka")
                ours, found = writes.write(nodes.Thalweg(), self.root / "thalweg")
            except AssertionError as why:
                self.failure = why
                raise
            self.both = theirs, ours, found
        return self.both

    def compare(self, name, comparison):
        """One comparison of the two directories."""
        theirs, ours, _ = self.written()
        known.check(name, comparison(theirs, ours))

    def opens_in_kafka(self, name):
        """Kafka opens the directory that Thalweg wrote."""
        *_, found = self.written()
        known.check(name, writes.opens_in_kafka(nodes.Kafka(), self.root / "thalweg", found))


CASES = {
    **{f"fixtures/{name}": lambda run, _, name=name: fixtures.goes_back(run.root / name, name) for name in archive.NAMES},
    "writes/files": lambda run, name: run.compare(name, writes.compare_files),
    "writes/dumps": lambda run, name: run.compare(name, writes.compare_dumps),
    "writes/groups": lambda run, name: run.compare(name, writes.compare_groups),
    "writes/metadata": lambda run, name: run.compare(name, writes.compare_metadata),
    "writes/indexes": lambda run, _: writes.check_indexes(run.written()[1]),
    "writes/opens_in_kafka": lambda run, name: run.opens_in_kafka(name),  # the last: Kafka changes the directory
}


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="interop/disk/run.py", description="Compares what is on the disk with Apache Kafka 4.3.1.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases, or the beginnings of their names, such as writes/")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--record", action="store_true", help="have Kafka write the fixtures anew, and record its answers")
    parser.add_argument("--keep", action="store_true", help="keep the directories of the nodes")
    options = parser.parse_args()
    chosen = [name for name in CASES if not options.names or any(name.startswith(given) for given in options.names)]
    if options.list:
        print("\n".join(chosen))
        return 0
    nodes.READY_SECONDS = nodes.STOP_SECONDS = 300  # judges run beside each other, each with a Kafka of its own
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    root = Path(tempfile.mkdtemp(prefix="thalweg-disk-"))
    try:
        if options.record:
            author.record(root, options.names, lambda text: print(text, flush=True))
            return 0
        return run_all(Run(root), chosen)
    finally:
        if options.keep:
            print(f"kept {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


def run_all(run, chosen):
    """Runs the chosen cases; returns the exit code."""
    failed = 0
    for number, name in enumerate(chosen, 1):
        began, trouble = time.monotonic(), None
        try:
            CASES[name](run, name)
        except AssertionError as why:
            trouble = str(why)
        except Exception:  # a failure of the case, with its whole story
            trouble = traceback.format_exc()
        failed += trouble is not None
        print(f"{'FAIL' if trouble else 'ok  '} {name:<28} {time.monotonic() - began:6.1f} s  [{number}/{len(chosen)}]", flush=True)
        if trouble:
            print("\n".join(f"     {line}" for line in trouble[:8000].splitlines()), flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # members that were left alone must not keep a finished run alive
