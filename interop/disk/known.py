"""Differences that are known, each with its reason: one that is not listed fails, and so does a listed one that has vanished."""

import difflib
import re
from pathlib import Path

FILE = Path(__file__).resolve().parent / "known.txt"
SHOWN = 40


def check(case, differences, who="Thalweg"):
    """Raises unless the differences of a case are exactly the listed ones."""
    rules = listed(case)
    used, unlisted = set(), []
    for difference in differences:
        hits = [pattern for pattern in rules if matches(pattern, difference)]
        used.update(hits)
        if not hits:
            unlisted.append(difference)
    trouble = unlisted[:SHOWN]
    if len(unlisted) > SHOWN:
        trouble.append(f"... and {len(unlisted) - SHOWN} more")
    trouble += [f"known.txt: this has vanished, take its line out: {pattern}" for pattern in rules if pattern not in used]
    if trouble:
        raise AssertionError(f"Kafka (-) and {who} (+) differ:\n" + "\n".join(trouble))


def listed(case):
    """The patterns of a case."""
    rows = [line.split(" | ", 2) for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    return [pattern for name, pattern, _ in rows if name == case]


def matches(pattern, text):
    """Whether a pattern, in which `*` stands for any text, covers a whole line."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.S) is not None


def lines(where, kafka, ours):
    """What differs between two lists of lines: `where: -line` is Kafka's alone, `where: +line` ours."""
    if kafka == ours:
        return []
    return [f"{where}: {line}" for line in difflib.unified_diff(kafka, ours, n=0, lineterm="") if not line.startswith(("---", "+++", "@@"))]
