"""How a node starts, refuses to start, and ends."""

import re
import signal
import socket
import subprocess
import time

from harness import frames, nodes, procs
from harness.case import case, contains, equal, eventually, expect

from .b_confluent import produce_all, read_all


def fails_to_start(it, home, *properties, **options):
    """A node that must refuse to start: what it printed. Its exit code must not be 0."""
    it.target.format(home)
    node = it.target.start(home, *properties, wait=False, **options)
    try:
        code = node.process.wait(nodes.STOP_SECONDS)
    except subprocess.TimeoutExpired:
        node.kill()
        raise AssertionError(f"the node did not end within {nodes.STOP_SECONDS} s: {node.log()[-2000:]}") from None
    expect(code > 0, f"the node ended with code {code}: {node.log()[-2000:]}")
    return node.log()


@case("node/a_second_node_on_the_same_directory_is_refused", own_node=True)
def second(it):
    first = it.start()
    told = fails_to_start(it, it.home / "other", overrides=[f"log.dirs={first.data}"])
    expect(re.search(r"lock|another", told, re.I), f"the message says that another node holds the directory: {told[-1500:]}")
    contains(told, str(first.data), "the message names the directory")
    if it.is_kafka:
        return it.note("Kafka's first node does not always survive its second")
    with frames.Connection(first.address) as connection:
        equal(connection.brokers(), 1, "brokers of the first node")
    first.stop()
    again = it.start()
    again.stop()


@case("node/a_busy_port_is_named", own_node=True)
def busy(it):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        (controller,) = nodes.free_ports(1)
        listeners = f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        told = fails_to_start(it, it.home / "node", listeners, listeners.replace("listeners=", "advertised.listeners="))
    expect(re.search(rf"127\.0\.0\.1:{port}\b", told.replace(listeners, "")), f"the message names the port: {told[-1500:]}")
    expect(re.search(r"address already in use|bind", told, re.I), f"the message says why: {told[-1500:]}")


@case("node/sigterm_and_sigint_are_clean", own_node=True)
def signals(it):
    for sign in (signal.SIGTERM, signal.SIGINT):
        node = it.start()
        topic = it.topic(bootstrap=node.bootstrap)
        produce_all(node.bootstrap, topic, [b"kept"])
        waiting = frames.Connection(node.address)
        waiting.send(frames.fetch(topic, 0, 1, max_wait=300_000))  # a client that waits does not hold up the end
        began = time.monotonic()
        node.stop(sign)
        it.note(f"{signal.Signals(sign).name}: {time.monotonic() - began:.2f} s")
        expect((node.data / ".kafka_cleanshutdown").exists(), f"{sign}: .kafka_cleanshutdown is there")
        node = it.start()
        expect(not (node.data / ".kafka_cleanshutdown").exists(), "a running node has no .kafka_cleanshutdown")
        equal([message.value() for message in read_all(node.bootstrap, topic)], [b"kept"], "records")
        node.stop()


@case("node/ephemeral_leaves_nothing_behind", own_node=True)
def ephemeral(it):
    if it.is_kafka:
        return it.note("Kafka has no throw-away node")
    for sign in (signal.SIGTERM, signal.SIGINT):
        node = it.ephemeral()
        topic = it.topic(2, bootstrap=node.bootstrap)
        produce_all(node.bootstrap, topic, [b"x" * 1000] * 100)
        made = {path.name for path in node.home.iterdir()} - {path.name for path in node.home.glob("node*.log")}
        expect(len(made) == 1, f"one temporary directory while it runs: {made}")
        out = next(node.home.glob("node*.out.log"))
        equal(out.read_text().split("\n", 1)[0], f"bootstrap.servers={node.bootstrap}", "the first line")
        node.stop(sign)
        left = {path.name for path in node.home.iterdir()} - {path.name for path in node.home.glob("node*.log")}
        equal(left, set(), "what is left")


@case("node/many_ephemeral_nodes_side_by_side", own_node=True)
def side_by_side(it):
    if it.is_kafka:
        return it.note("Kafka has no throw-away node")
    running = [it.ephemeral() for _ in range(5)]
    equal(len({node.bootstrap for node in running}), 5, "addresses")
    for node in running:
        node.stop()


@case("node/an_unknown_key_is_a_warning", own_node=True)
def unknown_key(it):
    node = it.start("no.such.key=1", "num.partitions=3")
    it.command("kcat", "-b", node.bootstrap, "-q", "-P", "-t", "made", stdin="x\n")
    with frames.Connection(node.address) as connection:
        expect(connection.brokers() == 1, "the node runs")
    contains(it.java("kafka-topics.sh", "--bootstrap-server", node.bootstrap, "--describe", "--topic", "made"), "PartitionCount: 3", "a known key")
    node.stop()
    if not it.is_kafka:
        contains(node.log(), "no.such.key", "the warning")


@case("node/a_bad_value_is_refused_with_its_key", own_node=True)
def bad_value(it):
    told = fails_to_start(it, it.home / "a", "log.retention.hours=soon")
    contains(told, "log.retention.hours", "the message names the key")
    contains(told, "soon", "the message names the value")
    told = fails_to_start(it, it.home / "b", "num.io.threads=0")
    contains(told, "num.io.threads", "the message names the key of a value out of range")


@case("node/override_on_the_command_line_wins", own_node=True)
def override(it):
    node = it.start("num.partitions=3", overrides=["num.partitions=7", "auto.create.topics.enable=true"])
    it.command("kcat", "-b", node.bootstrap, "-q", "-P", "-t", "made", stdin="x\n")
    contains(it.java("kafka-topics.sh", "--bootstrap-server", node.bootstrap, "--describe", "--topic", "made"), "PartitionCount: 7", "the override")
    node.stop()


@case("node/without_a_file_it_says_where_it_listens", own_node=True)
def without_arguments(it):
    if it.is_kafka:
        return it.note("Kafka needs a file")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if any(probe.connect_ex(("127.0.0.1", port)) == 0 for port in (9092, 9093)):
            return it.note("port 9092 or 9093 is taken on this machine")
    home = it.home / "empty"
    home.mkdir()
    with open(it.home / "out", "w") as out:
        process = procs.spawn(it.target.command(), out, subprocess.STDOUT, cwd=home)
    node = nodes.Node(process, "127.0.0.1:9092", it.home)
    nodes.wait_ready(node)
    it.command("kcat", "-b", "127.0.0.1:9092", "-q", "-P", "-t", "first", stdin="hello\n")
    equal(it.command("kcat", "-b", "127.0.0.1:9092", "-q", "-C", "-t", "first", "-e"), "hello\n", "the first record")
    node.stop()
    told = (it.home / "out").read_text()
    contains(told, "127.0.0.1:9092", "where it listens")
    (data,) = home.iterdir()
    contains(told, data.name, "where the data is")
    expect((data / "meta.properties").exists(), f"the directory is formatted: {data}")


@case("node/storage_formats_and_tells_of_directories", own_node=True)
def storage(it):
    home = it.home / "node"
    config = nodes.server_properties(home, [])
    cluster = it.command(*it.target.storage("random-uuid")).strip()
    expect(re.fullmatch(r"[A-Za-z0-9_-]{22}", cluster), f"random-uuid says {cluster!r}")
    told = it.command(*it.target.storage("info", "-c", config), code=1)
    contains(told, "Found problem", "info of an unformatted directory")
    told = it.command(*it.target.storage("format", "--standalone", "-t", cluster, "-c", config))
    contains(told, f"{home}/data", "format names the directory")
    contains((home / "data" / "meta.properties").read_text(), f"cluster.id={cluster}", "meta.properties")
    told = it.command(*it.target.storage("info", "-c", config))
    contains(told, f"{home}/data", "info names the directory")
    contains(told, cluster, "info shows the cluster id")
    again = it.command(*it.target.storage("format", "--standalone", "-t", cluster, "-c", config), code=1)
    contains(again + it.stderr, "already formatted", "formatting again")
    it.command(*it.target.storage("format", "--standalone", "-t", cluster, "-c", config, "--ignore-formatted"))
    node = it.start()
    shown = it.java("kafka-cluster.sh", "cluster-id", "--bootstrap-server", node.bootstrap)
    equal(shown, f"Cluster ID: {cluster}\n", "the cluster id of the node")
    node.stop()


@case("node/connections_are_let_go_when_clients_leave", own_node=True)
def leaks(it):
    node = it.ephemeral()
    topic = it.topic(bootstrap=node.bootstrap)
    with frames.Connection(node.address) as connection:
        connection.ask(frames.metadata([topic]))
        files = procs.open_files(node.pid)
    for _ in range(300):
        with frames.Connection(node.address) as connection:
            connection.ask(frames.api_versions())
    eventually(lambda: procs.open_files(node.pid) <= files + 5, "open files as before")
    node.stop()
