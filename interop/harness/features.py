"""Runs the features programs of the client libraries and compares with what Apache Kafka does.

A program prints a line for each feature: `ok|FAIL|n/a`, area, feature and detail between tabs. What Kafka 4.3.1 did is kept in
clients/kafka.tsv (`--reference` records it anew); what a node cannot do yet is listed in clients/known.txt with its reason.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import nodes, procs
from .install import INTEROP, ROOT, quiet, say

BUILT = ROOT / "target"  # the place that java/pom.xml names
RECORDED = INTEROP / "clients" / "kafka.tsv"
KNOWN = INTEROP / "clients" / "known.txt"
PROGRAM_SECONDS = 1800
AT_ONCE = 3  # programs at a time: each mostly waits
CHILDREN = []
# Short intervals, so that rebalances of KIP-848 groups end within a feature's time.
SETTINGS = ("group.consumer.min.heartbeat.interval.ms=500", "group.consumer.heartbeat.interval.ms=1000", "group.share.min.record.lock.duration.ms=2000")


def java():
    """Kafka's own client library."""
    out = BUILT / "interop-java"
    mvn = ["mvn", "-q", "-B", "-f", INTEROP / "java" / "pom.xml", "compile", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    quiet([*mvn, f"-DoutputDirectory={out / 'lib'}"])
    return ["java", "-Xmx256M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{out / 'classes'}:{out / 'lib'}/*", "Features"]


def go():
    """franz-go."""
    if not shutil.which("go"):
        raise SystemExit("interop: the program of interop/go needs Go; choose others with --only")
    out = BUILT / "interop-go" / "features"
    quiet(["go", "build", "-o", out, "."], cwd=INTEROP / "go")
    return [out]


def python(file):
    """A program of python/."""
    return lambda: [sys.executable, INTEROP / "python" / file]


PROGRAMS = {  # name: (title, what builds it and gives its command)
    "java": ("Java, kafka-clients 4.3.1", java),
    "confluent": ("Python, confluent-kafka 2.16 (librdkafka)", python("confluent_features.py")),
    "kafka-python": ("Python, kafka-python 3.0", python("kafka_python_features.py")),
    "kafkajs": ("Node.js, kafkajs 2.2", lambda: ["node", INTEROP / "node" / "features.js"]),
    "franz-go": ("Go, franz-go 1.22", go),
}


def main():
    """The command line."""
    options = parse()
    signal.signal(signal.SIGTERM, stop)
    chosen = [name for name in PROGRAMS if not options.only or name in options.only]
    home = Path(tempfile.mkdtemp(prefix="thalweg-features-"))
    node = None
    try:
        bootstrap = options.bootstrap
        if not bootstrap:
            node = (nodes.Kafka() if options.reference else nodes.Thalweg()).start(home / "node", *SETTINGS)
            bootstrap = node.bootstrap
        measured = {}
        commands = {name: PROGRAMS[name][1]() for name in chosen}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for results in pool.map(lambda name: run(name, [*commands[name], bootstrap, *options.words]), chosen):
                measured.update(results)
        if node is not None and not node.alive():
            raise SystemExit(f"interop: the node ended: {nodes.logs(node.home)}")
        if node is not None:
            node.stop()
    finally:
        if node is not None and node.alive():
            node.kill()
        shutil.rmtree(home, ignore_errors=True)
    if options.reference:
        return record(read_recorded(), measured, chosen, options)
    return judge(read_recorded(), measured, chosen, options)


def parse():
    """Options; see --help."""
    parser = argparse.ArgumentParser(prog="interop/features", description="Tells which features of the client libraries work against a node.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only the features whose area or name has one of these")
    parser.add_argument("--only", action="append", choices=list(PROGRAMS), help="only this library; may be repeated")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="use a node that already runs")
    parser.add_argument("--reference", action="store_true", help="against Apache Kafka 4.3.1: record what it does in clients/kafka.tsv")
    return parser.parse_args()


def stop(*_):
    """A signal ends the programs first: the threads that read them would hold this process."""
    for child in CHILDREN:
        child.kill()
    sys.exit(143)


def run(name, command):
    """One program's results, by library, area and feature: `(result, detail)`. Its lines are shown as they come."""
    say(PROGRAMS[name][0])
    child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=procs.die_with_parent)
    CHILDREN.append(child)
    alarm = threading.Timer(PROGRAM_SECONDS, child.kill)
    alarm.start()
    results = {}
    for line in child.stdout:
        parts = line.rstrip("\n").split("\t")
        if len(parts) == 4 and parts[0] in ("ok", "FAIL", "n/a"):
            results[name, parts[1], parts[2]] = (parts[0], parts[3])
            print(f"{parts[0]:4} {name}  {parts[1]}: {parts[2]}  {parts[3][:300]}".rstrip(), flush=True)
    alarm.cancel()
    if child.wait() != 0:
        print(f"FAIL {name}  the program ended with {child.returncode}", flush=True)
    return results


def read_recorded():
    """What Kafka did: the result by library, area and feature, in the order of the programs."""
    if not RECORDED.exists():
        return {}
    lines = [line.split("\t") for line in RECORDED.read_text().splitlines() if not line.startswith("#")]
    return {(library, area, feature): result for library, area, feature, result in lines}


def record(recorded, measured, chosen, options):
    """Keeps what Kafka did; with words, only those features are replaced."""
    kept = {key: result for key, result in recorded.items() if key[0] not in chosen or options.words and key not in measured}
    merged = {key: result for key, (result, _) in measured.items()} | kept
    order = {name: at for at, name in enumerate(PROGRAMS)}
    before = {key: at for at, key in enumerate(recorded if options.words else measured)}
    keys = sorted(merged, key=lambda key: (order[key[0]], before.get(key, len(merged))))
    RECORDED.parent.mkdir(exist_ok=True)
    head = "# What Apache Kafka 4.3.1 does: library, area, feature, result. Recorded by interop/features --reference.\n"
    RECORDED.write_text(head + "".join("\t".join([*key, merged[key]]) + "\n" for key in keys))
    failed = sum(result == "FAIL" for result, _ in measured.values())
    print(f"{len(measured)} features recorded, of which {failed} fail")
    return 0


def read_known():
    """What is known not to work: reasons by library, area and feature, where `*` stands for all features of an area."""
    lines = [line for line in KNOWN.read_text().splitlines() if line.strip() and not line.startswith("#")]
    split = [[part.strip() for part in line.split(" | ", 3)] for line in lines]
    return {(library, area, feature): reason for library, area, feature, reason in split}


def known_key(known, key):
    """The entry that names a feature, if there is one."""
    library, area, _ = key
    return next((each for each in (key, (library, area, "*"), ("*", area, "*")) if each in known), None)


def judge(recorded, measured, chosen, options):
    """Compares with Kafka; returns the exit code."""
    known, used, differ, works, listed = read_known(), set(), [], 0, 0
    for key, (result, detail) in measured.items():
        of_kafka, entry = recorded.get(key), known_key(known, key)
        if of_kafka is None:
            differ.append(f"{' | '.join(key)}: Kafka's answer is not recorded; run interop/features --reference")
        elif result == "FAIL" and of_kafka == "ok":
            used.add(entry)
            listed += entry is not None
            if entry is None:
                differ.append(f"{' | '.join(key)}: works on Kafka, and not here: {detail[:300]}")
        elif result == "ok" and entry is not None:
            used.add(entry)
            differ.append(f"{' | '.join(key)}: is listed in {KNOWN.name}, and works")
        else:
            works += result == "ok"
    if not options.words:
        lost = [key for key in recorded if key[0] in chosen and key not in measured]
        differ += [f"{' | '.join(key)}: was not run" for key in lost]
        whole = len(chosen) == len(PROGRAMS)
        gone = [key for key in known if key not in used and (key[0] in chosen or whole)]
        differ += [f"{' | '.join(key)}: is listed in {KNOWN.name}, and nothing fails" for key in gone]
    for line in differ:
        print(f"differs: {line}")
    print(f"{listed} features are known not to work")
    print(f"{works + listed} passed, {len(differ)} failed", flush=True)
    return 1 if differ or not measured else 0


if __name__ == "__main__":
    sys.exit(main())
