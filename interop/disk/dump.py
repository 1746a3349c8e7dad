"""What Kafka's dump tool says of data directories, several at once: the tool starts slowly and reads quickly."""

import re
import subprocess
from collections import defaultdict

from harness import nodes

LOGS = (".log",)
INDEXES = (".index", ".timeindex", ".txnindex")
SNAPSHOTS = (".snapshot",)
_SUMMARY = "Non-consecutive offsets in "  # the gaps that a cleaner leaves, and the beginning of every segment but the first
_PART = re.compile(r"^Dumping (\S+)$")


def dump(roots, suffixes, *options, only="*"):
    """The tool's lines by root and by file: its path below the root."""
    files = [path for root in roots for path in sorted(root.glob(f"{only}/*")) if path.suffix in suffixes and path.is_file()]
    text = run("kafka-dump-log.sh", "--files", ",".join(map(str, files)), *options)
    found = {root: defaultdict(list) for root in roots}
    at = None
    for line in text.splitlines():
        if line.startswith(_SUMMARY):
            break
        started = _PART.match(line)
        if started:
            at = started[1]
        root = next((root for root in roots if at and at.startswith(f"{root}/")), None)
        if root is None:
            raise AssertionError(f"the tool said before any file: {line}")
        if not started:
            found[root][at.removeprefix(f"{root}/")].append(line.replace(f"{root}/", ""))
        else:
            found[root][at.removeprefix(f"{root}/")]
    return [found[root] for root in roots]


def run(name, *arguments):
    """One of Kafka's tools: its output and errors."""
    command = [str(nodes.Kafka.script), "bin", name, *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{name} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout
