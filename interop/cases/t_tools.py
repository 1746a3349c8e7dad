"""Thalweg's tools as people use them: with logins, on a screen, in pipes, and with what cannot work."""

import json
import os
import signal
import subprocess
import threading
import time

from harness import nodes, procs
from harness.case import case, contains, equal, eventually, expect

from .p_security import MATERIAL, PLAIN_MODULE, Secured

TOOLS = nodes.Thalweg()
FORMAT = "%t %p %o %K:%k %S:%s %h;\\n"


def tool(it, *arguments, **options):
    """A tool's standard output."""
    return it.command(*TOOLS.command(*arguments), **options)


def fill(it, topic, lines):
    """Writes lines to a topic."""
    tool(it, "produce", "-b", it.bootstrap, topic, stdin="".join(f"{line}\n" for line in lines))


@case("tools/log_in_over_tls_by_their_config_files", own_node=True)
def logged_in(it):
    secured = Secured(it)
    topic, group = it.new_name(), it.new_name("group")

    def config(password):
        file = it.home / f"{password}.properties"
        login = f'{PLAIN_MODULE} username="alice" password="{password}";'
        trust = [f"ssl.truststore.location={MATERIAL}/trust.jks", "ssl.truststore.password=secret-store"]
        lines = ["security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", f"sasl.jaas.config={login}", *trust]
        file.write_text("\n".join([*lines, "default.api.timeout.ms=20000", ""]))
        return file

    good, bad = config("alice-secret"), config("guess")
    address = ["--bootstrap-server", f"127.0.0.1:{secured.at['SASLTLS']}"]
    at, of = [*address, "--command-config", good], ["--topic", topic]
    offsets, plan = it.home / "offsets.json", it.home / "plan.json"
    offsets.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": 1}], "version": 1}))
    plan.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "replicas": [1]}], "version": 1}))
    lines = [
        (["topics", *at, "--create", *of], f"Created topic {topic}."),
        (["console-producer", *at, *of], ""),
        (["produce", *at, topic], ""),
        (["console-consumer", *at, *of, "--group", group, "--from-beginning", "--max-messages", 2], "one\ntwo\n"),
        (["consume", *at, topic, "-e", "-f", "%o %s\\n"], "0 one\n1 two\n"),
        (["topics", *at, "--describe", *of], f"Topic: {topic}"),
        (["configs", *at, "--describe", *of], f"Dynamic configs for topic {topic}"),
        (["consumer-groups", *at, "--describe", "--group", group], group),
        (["groups", *at, "--list"], group),
        (["share-groups", *at, "--list"], ""),
        (["streams-groups", *at, "--list"], ""),
        (["get-offsets", *at, *of], f"{topic}:0:2"),
        (["log-dirs", *at, "--describe"], '"brokers"'),
        (["cluster", "cluster-id", *address, "--command-config", good], "Cluster ID: "),
        (["broker-api-versions", *at], "Produce(0): "),
        (["features", *at, "describe"], "metadata.version"),
        (["metadata-quorum", *at, "describe", "--status"], "LeaderId:"),
        (["transactions", *at, "list"], "TransactionalId"),
        (["client-metrics", *at, "--list"], ""),
        (["reassign-partitions", *at, "--execute", "--reassignment-json-file", plan], "Successfully started"),
        (["leader-election", *at, "--election-type", "preferred", *of, "--partition", 0], ""),
        (["delete-records", *at, "--offset-json-file", offsets], "low_watermark: 1"),
        (["producer-perf-test", *at, *of, "--num-records", 10, "--record-size", 10, "--throughput", -1], "10 records sent"),
        (["consumer-perf-test", *at, *of, "--num-records", 5], "start.time"),
        (["verifiable-producer", *at, *of, "--max-messages", 2], '"acked":2'),
        (["verifiable-consumer", *at, *of, "--group-id", it.new_name("group"), "--max-messages", 2], "records_consumed"),
        (["e2e-latency", *at, *of, "--num-records", 2, "--producer-acks", 1, "--record-size", 10], "Avg latency"),
    ]
    for line, part in lines:
        stdin = {"console-producer": "one\n", "produce": "two\n"}.get(line[0])
        contains(tool(it, *line, stdin=stdin, seconds=60), part, line[0])
    for line in (["topics", "--list"], ["groups", "--list"], ["get-offsets", *of], ["consume", topic]):
        tool(it, line[0], *address, "--command-config", bad, *line[1:], code=1, seconds=60)
        contains(it.stderr, "Authentication failed", f"{line[0]} with a wrong password")
    it.note(f"{len(lines)} command lines over SASL_SSL")
    secured.node.stop()


@case("tools/say_once_which_broker_cannot_be_reached")
def unreachable(it):
    (port,) = nodes.free_ports(1)
    address = f"127.0.0.1:{port}"
    config = it.home / "short.properties"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("default.api.timeout.ms=2000\nrequest.timeout.ms=1000\n")
    for line in (
        ["topics", "--list", "--bootstrap-server", address, "--command-config", config],
        ["consume", "any", "-b", address, "-F", config],
        ["produce", "any", "-b", address, "-F", config],
    ):
        began = time.monotonic()
        tool(it, *line, code=1, stdin="x\n", seconds=30)
        expect(time.monotonic() - began < 10, f"{line[0]} ends in time")
        contains(it.stderr, "refused", f"{line[0]} says why")
        equal(it.stderr.count(address), 1, f"how often {line[0]} names the address in {it.stderr!r}")


@case("tools/are_silent_when_nobody_reads_on")
def broken_pipe(it):
    topic = it.topic()
    fill(it, topic, range(100_000))
    at = f"--bootstrap-server {it.bootstrap}"
    for line, allowed in (
        (f"console-consumer {at} --topic {topic} --from-beginning", "Processed a total of"),
        (f"consume {at} {topic}", None),
        (f"consume {at} {topic} --json", None),
        (f"topics {at} --describe", None),
        ("completions bash", None),
        ("config list", None),
        ("--help", None),
    ):
        script = f"set -o pipefail; {TOOLS.binary} {line} 2>{it.home}/errors.txt | head -c 5 >/dev/null"
        it.home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["bash", "-c", script], timeout=60, check=False)
        errors = (it.home / "errors.txt").read_text().splitlines()
        said = [text for text in errors if not (allowed and text.startswith(allowed)) and "KIP-848" not in text]
        equal(said, [], f"what `{line}` says on standard error")


def shown(session, *arguments):
    """What tmux answers."""
    command = ["tmux", "-L", session, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


@case("tools/the_console_consumer_on_a_screen_shows_what_comes_and_leaves_its_group")
def on_a_screen(it):
    topic, group = it.topic(), it.new_name("group")
    session = f"thalweg-{os.getpid()}"
    command = TOOLS.command("console-consumer", "--bootstrap-server", it.bootstrap, "--topic", topic, "--group", group, "--from-beginning")
    producer = TOOLS.command("console-producer", "--bootstrap-server", it.bootstrap, "--topic", topic)
    feed = procs.spawn(producer, subprocess.DEVNULL, subprocess.DEVNULL, stdin=subprocess.PIPE)
    # The shell stays when the tool ends, so that the screen can still be read.
    shown(session, "-f", "/dev/null", "new-session", "-d", "-x", 100, "-y", 30, "env PS1='ended$? ' sh")
    try:
        shown(session, "send-keys", " ".join(command), "Enter")

        def screen():
            return shown(session, "capture-pane", "-p")

        for number in range(3):
            line = f"line {number} of a live producer"
            feed.stdin.write(f"{line}\n".encode())
            feed.stdin.flush()
            eventually(lambda line=line: line in screen(), f"{line!r} is on the screen", 60)
        shown(session, "send-keys", "C-c")
        eventually(lambda: "Processed a total of 3 messages" in screen(), "the count is on the screen", 30)
        eventually(lambda: "ended130" in screen(), "the tool ends with 130", 30)
    finally:
        shown(session, "kill-server")
        feed.stdin.close()
        feed.wait(30)
    state = tool(it, "consumer-groups", "--bootstrap-server", it.bootstrap, "--describe", "--group", group, "--state")
    contains(state, "Empty", "the group when its member has left")


@case("tools/produce_and_consume_print_what_kcat_prints")
def beside_kcat(it):
    topic = it.topic(partitions=3)
    at = ["-b", it.bootstrap]
    tool(it, "produce", *at, topic, "-K", ":", "-H", "a=1", "-H", "b=", stdin="k1:v1\nk2:\nk3:grün\n")
    tool(it, "produce", *at, topic, "-p", 1, "-Z", "-k", "gone", stdin="\n")
    tool(it, "produce", *at, topic, "-p", 2, "-z", "gzip", "-D", ";", stdin="a;b\nc;")
    for partition in range(3):
        of = ["-p", partition, "-e"]
        kcat = it.command("kcat", "-C", "-q", *at, "-t", topic, "-o", "beginning", *of, "-f", FORMAT)
        equal(tool(it, "consume", *at, topic, *of, "-f", FORMAT, "-Z", ""), kcat, f"partition {partition} by the format")
        kcat = it.command("kcat", "-C", "-q", *at, "-t", topic, "-o", -1, *of, "-f", "%R%s")
        equal(tool(it, "consume", *at, topic, *of, "--last", 1, "-f", "%R%s"), kcat, f"the last record of partition {partition}")
        kcat = it.command("kcat", "-C", "-q", "-J", *at, "-t", topic, "-o", "beginning", *of)
        theirs = [json.loads(line) for line in kcat.splitlines()]
        ours = [json.loads(line) for line in tool(it, "consume", *at, topic, *of, "--json").splitlines()]
        without = [{key: value for key, value in line.items() if key != "broker"} for line in theirs]
        equal(ours, without, f"partition {partition} as JSON")
    copy = it.topic(word="copy")
    envelopes = tool(it, "consume", *at, topic, "-e", "--json")
    tool(it, "produce", *at, copy, "--json", stdin=envelopes)
    part = "%k %s %h %T\\n"
    copied = sorted(tool(it, "consume", *at, copy, "-e", "-f", part).split("\n"))
    equal(copied, sorted(tool(it, "consume", *at, topic, "-e", "-f", part).split("\n")), "what was copied by JSON")


@case("tools/consume_reads_a_span_of_time_and_as_a_member_of_a_group")
def spans(it):
    topic, group = it.topic(), it.new_name("group")
    at = ["-b", it.bootstrap]
    for ms in (1000, 2000, 3000):
        tool(it, "produce", *at, topic, "--timestamp", ms, stdin=f"at {ms}\n")
    equal(tool(it, "consume", *at, topic, "--from", 1500, "-e"), "at 2000\nat 3000\n", "from a time on")
    equal(tool(it, "consume", *at, topic, "--until", 3000), "at 1000\nat 2000\n", "up to a time")
    equal(tool(it, "consume", *at, topic, "--from", "-1h", "-e"), "", "of the last hour")
    equal(tool(it, "consume", *at, topic, "-g", group, "-c", 2), "at 1000\nat 2000\n", "two records of a group")
    equal(tool(it, "consume", *at, topic, "-g", group, "-e"), "at 3000\n", "the rest of the group")
    tool(it, "consume", *at, it.new_name("none"), code=1, seconds=60)
    contains(it.stderr, "UNKNOWN_TOPIC_OR_PARTITION", "a topic that does not exist")
    for line, message in (
        (["consume", "t", "--last", 1, "--from", 1], "--last and --from exclude each other"),
        (["consume", "t", "-f", "%y"], "%y stands for nothing"),
        (["consume", "t", "-X", "a"], "--property a: it is KEY=VALUE"),
        (["produce", "t", "-H", "a"], "--header a: it is KEY=VALUE"),
    ):
        tool(it, *line, code=1)
        contains(" ".join(it.stderr.split()), message, " ".join(map(str, line)))


@case("tools/verify_replicas_and_share_groups")
def verifying(it):
    topic, group = it.topic(partitions=2), it.new_name("group")
    fill(it, topic, range(1000))
    at = ["--bootstrap-server", it.bootstrap]
    verify = TOOLS.command("replica-verification", "--broker-list", it.bootstrap, "--topics-include", topic, "--time", -2, "--report-interval-ms", 100)
    running = procs.spawn(verify, subprocess.PIPE, subprocess.DEVNULL)
    timer = threading.Timer(60, running.kill)
    timer.start()
    lines = (line.decode() for line in running.stdout)
    contains(next(lines), "verification process is started", "the first line")
    found = next((line for line in lines if "max lag is 0 for partition" in line), None)
    timer.cancel()
    expect(found, "the lag becomes 0")
    contains(found, "among 2 partitions", "the report")
    running.send_signal(signal.SIGTERM)
    equal(running.wait(30), 143, "the exit code after SIGTERM")
    line = ["verifiable-share-consumer", *at, "--topic", topic, "--group-id", group, "--offset-reset-strategy", "earliest"]
    events = [json.loads(line) for line in tool(it, *line, "--max-messages", 1000, seconds=60).splitlines()]
    names = [event["name"] for event in events]
    equal(names[:2] + names[-1:], ["startup_complete", "offset_reset_strategy_set", "shutdown_complete"], "the first and last events")
    acknowledged = [event for event in events if event["name"] == "offsets_acknowledged"]
    equal(sum(event["count"] for event in acknowledged if event["success"]), 1000, "acknowledged records")
