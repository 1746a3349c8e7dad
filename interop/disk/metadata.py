"""Snapshots of the metadata: taken on demand, and shown by Kafka's metadata shell."""

import re
import shutil
import time

from harness.case import expect

from . import dump
from .client import PATIENCE_SECONDS


SHELLS_MAX = 20  # the shell sometimes answers before it has read the file: with nothing, not even a metadata version


def snapshot(client, home):
    """Goes on changing one config until there is a snapshot with everything else in it, and keeps a copy of that."""
    deadline, number = time.monotonic() + PATIENCE_SECONDS, 0
    for _ in range(2):  # the first may have begun earlier
        before = newest(home / "data")
        while newest(home / "data") == before:
            expect(time.monotonic() < deadline, "no snapshot of the metadata is taken")
            number += 1
            client.configure(2, CHANGED, retention_bytes=str(1 << 30 | number))
    client.configure(2, CHANGED, retention_bytes=None)
    found = newest(home / "data")
    (home / "snapshot").mkdir(exist_ok=True)
    shutil.copy(found, home / "snapshot" / found.name)


CHANGED = "by-time"  # a topic that both the fixtures and the writes have


def kept(home):
    """The copy that `snapshot` kept."""
    return next((home / "snapshot").iterdir())


def newest(data):
    """The newest snapshot of a directory, if there is one."""
    return max(data.glob("__cluster_metadata-0/*.checkpoint"), default=None)


def tree(path):
    """A snapshot's leaves with their paths, but for ids, addresses and times, in order."""
    for _ in range(SHELLS_MAX):
        text = dump.run("kafka-metadata-shell.sh", "--snapshot", path, "tree", "/")
        if not re.search(r"metadataVersion:\s+Optional\.empty", text):
            break
    rows, above = [], []
    for line in text.splitlines():
        if line.startswith("["):  # the shell's log: it tells that it passes over control records
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        del above[depth:]
        above.append(line.strip().removesuffix(":"))
        rows.append("/".join(above))
    names = {row.split("/")[3]: row.split("/")[5] for row in rows if re.match(r"image/topics/byId/[^/]+/name/.", row)}
    for topic_id, name in names.items():
        rows = [row.replace(topic_id, f"id-of-{name}") for row in rows]
    return sorted(_VOLATILE.sub(r"\1", row) for row in rows if not row.startswith(_PASSING) and CHANGED_CONFIG not in row)


CHANGED_CONFIG = f"TOPIC:{CHANGED}/retention.bytes"
_PASSING = ("image/provenance/", "local/")
_VOLATILE = re.compile(r"((?:^|\W)(?:epoch|incarnationId|port)=|directories=\[)[\w-]+")
