"""Pages of `docs/` whose commands are run as they are written."""

import re
import time

from harness.case import case, expect
from harness.cluster import Cluster
from harness.install import INTEROP

DOCS = INTEROP.parent / "docs"
# The address that the pages name.
ADDRESS = "localhost:9092"
# Commands that change nothing.
READS = re.compile(r" --(list|describe)\b")


def steps(page):
    """The commands in the page's console blocks, each with the lines that it should print."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.S | re.M):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines):
    """What the lines stand for: `...` alone is any number of lines, within a line anything."""
    wanted = []
    for line in lines:
        if line == "...":
            wanted.append(r"(?:.*\n)*")
        else:
            wanted.append(".*".join(re.escape(part) for part in line.split("...")) + "\n")
    return "".join(wanted)


@case("documents/the_tutorial_runs_as_it_is_written", own_node=True)
def tutorial(it):
    if it.is_kafka:
        return it.note("the page is about a cluster of Thalweg; its commands are Kafka's")
    links = it.home / "bin"
    it.command(*it.target.command("install-tools"), links)
    cluster = Cluster(it.target, it.home, 3, "min.insync.replicas=2")
    try:
        address = cluster.bootstrap.split(",")[0]
        page = (DOCS / "tutorial.md").read_text()
        found = steps(page)
        expect(len(found) > 15, f"{len(found)} commands are on the page")
        for command, lines in found:
            run, deadline = f"PATH={links}:$PATH; {command.replace(ADDRESS, address)}", time.monotonic() + 10
            while True:
                printed = it.command("bash", "-c", run, code=None, env={"THALWEG_BOOTSTRAP_SERVERS": address})
                printed = printed.replace(address, ADDRESS)
                # A node may hear a moment later than another one what was decided, as in Kafka.
                if re.fullmatch(pattern(lines), printed) or not READS.search(command) or time.monotonic() > deadline:
                    break
            expect(re.fullmatch(pattern(lines), printed), f"`{command}` prints {lines}, not {printed!r} ({it.stderr[-500:]!r})")
    finally:
        cluster.stop()
