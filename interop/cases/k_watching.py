"""Those who watch a node: metrics under Kafka's names, health, logs, signals, and strangers at the HTTP port."""

import json
import signal
import socket
import subprocess
import time

from confluent_kafka import Producer
from harness import frames, nodes, procs, web
from harness.case import case, contains, equal, eventually, expect
from harness.install import INTEROP

from .b_confluent import produce_all, read_all
from .f_hostile import Bystander, memory_bounded


def watched(it, *properties, **options):
    """A node that listens for those who watch it, and the port."""
    (port,) = nodes.free_ports(1)
    return it.start(f"thalweg.http.listen=127.0.0.1:{port}", *properties, **options), port


def kafka_alone(it):
    if it.is_kafka:
        it.note("Kafka tells it through JMX only")
    return it.is_kafka


@case("watching/metrics_count_what_clients_did", own_node=True)
def counted(it):
    if kafka_alone(it):
        return
    node, port = watched(it)
    topic, other = it.topic(2, bootstrap=node.bootstrap), it.topic(1, "other", bootstrap=node.bootstrap)
    before = web.Metrics(port)
    values = [b"x" * 100] * 700
    produce_all(node.bootstrap, topic, values, partition=1)
    equal(len(read_all(node.bootstrap, topic, 2)), 700, "records read")
    after = web.Metrics(port)
    topics = "kafka_server_brokertopicmetrics_"
    equal(after.get(topics + "messagesin_total", topic=topic), 700, "messages in")
    equal(after.get(topics + "messagesin_total", topic=other), 0, "messages in of a topic that nobody used")
    equal(after.get(topics + "messagesin_total") - before.get(topics + "messagesin_total"), 700, "messages in of all topics")
    size = after.get("kafka_log_log_size", topic=topic, partition=1)
    expect(size > 70_000, f"bytes on the disk: {size}")
    equal(after.get(topics + "bytesin_total", topic=topic), size, "bytes in")
    expect(after.get(topics + "bytesout_total", topic=topic) >= size, "every byte was read")
    equal(after.get("kafka_log_log_logendoffset", topic=topic, partition=1), 700, "the end of the log")
    equal(after.get("kafka_log_log_size", topic=topic, partition=0), 0, "the other partition")
    fetches = sum(n for (name, labels), n in after.samples.items() if name == "kafka_network_requestmetrics_requests_total" and ("request", "Fetch") in labels)
    expect(fetches > 0, "fetches are counted")
    expect(after.get("kafka_server_replicamanager_leadercount") >= 3, "partitions that are led")
    equal(after.get("kafka_controller_kafkacontroller_offlinepartitionscount"), 0, "partitions without a leader")
    expect(0 < after.get("kafka_network_requestmetrics_totaltimems", request="Produce", quantile="0.99") < 60_000, "how long produces took")
    with frames.Connection(node.address):
        labels = {"listener": "PLAINTEXT", "networkProcessor": 0}
        name = "kafka_server_socket_server_metrics_connection_count"
        eventually(lambda: web.Metrics(port).get(name, **labels) == 1, "one connection is open")
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        expect(after.get(name) > 0, name)
    node.stop()


@case("watching/dashboards_find_what_they_look_for", own_node=True)
def dashboards(it):
    """The names in the panels of Strimzi's and Confluent's dashboards for brokers that mean something here."""
    if kafka_alone(it):
        return
    node, port = watched(it)
    topic = it.topic(bootstrap=node.bootstrap)
    produce_all(node.bootstrap, topic, [b"x"])
    read_all(node.bootstrap, topic)
    names = {name for name, _ in web.Metrics(port).names()}
    missing = [name for name in DASHBOARDS.split() if name not in names]
    equal(missing, [], "names that are missing")
    node.stop()


DASHBOARDS = """
kafka_cluster_partition_atminisr
kafka_cluster_partition_underminisr
kafka_cluster_partition_underreplicated
kafka_controller_controllerstats_uncleanleaderelections_total
kafka_controller_controllerstats_uncleanleaderelectionspersec
kafka_controller_kafkacontroller_activebrokercount
kafka_controller_kafkacontroller_activecontrollercount
kafka_controller_kafkacontroller_fencedbrokercount
kafka_controller_kafkacontroller_globalpartitioncount
kafka_controller_kafkacontroller_globaltopiccount
kafka_controller_kafkacontroller_lastappliedrecordlagms
kafka_controller_kafkacontroller_offlinepartitionscount
kafka_controller_kafkacontroller_preferredreplicaimbalancecount
kafka_coordinator_group_groupmetadatamanager_numgroups
kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance
kafka_coordinator_group_groupmetadatamanager_numgroupsdead
kafka_coordinator_group_groupmetadatamanager_numgroupsempty
kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance
kafka_coordinator_group_groupmetadatamanager_numgroupsstable
kafka_log_log_logendoffset
kafka_log_log_logstartoffset
kafka_log_log_size
kafka_log_logmanager_offlinelogdirectorycount
kafka_network_requestchannel_requestqueuesize
kafka_network_requestchannel_responsequeuesize
kafka_network_requestmetrics_errorspersec
kafka_network_requestmetrics_localtimems
kafka_network_requestmetrics_remotetimems
kafka_network_requestmetrics_requestqueuetimems
kafka_network_requestmetrics_requests_total
kafka_network_requestmetrics_requestspersec
kafka_network_requestmetrics_responsequeuetimems
kafka_network_requestmetrics_responsesendtimems
kafka_network_requestmetrics_totaltimems
kafka_network_socketserver_networkprocessoravgidle_percent
kafka_network_socketserver_networkprocessoravgidlepercent
kafka_server_brokertopicmetrics_bytesin_total
kafka_server_brokertopicmetrics_bytesinpersec
kafka_server_brokertopicmetrics_bytesout_total
kafka_server_brokertopicmetrics_bytesoutpersec
kafka_server_brokertopicmetrics_failedfetchrequests_total
kafka_server_brokertopicmetrics_failedproducerequests_total
kafka_server_brokertopicmetrics_messagesin_total
kafka_server_brokertopicmetrics_messagesinpersec
kafka_server_brokertopicmetrics_totalfetchrequests_total
kafka_server_brokertopicmetrics_totalfetchrequestspersec
kafka_server_brokertopicmetrics_totalproducerequests_total
kafka_server_brokertopicmetrics_totalproducerequestspersec
kafka_server_fetchsessioncache_incrementalfetchsessionevictionspersec
kafka_server_fetchsessioncache_numincrementalfetchsessions
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent
kafka_server_kafkaserver_brokerstate
kafka_server_kafkaserver_linux_disk_read_bytes
kafka_server_kafkaserver_linux_disk_write_bytes
kafka_server_raft_metrics_append_records_rate
kafka_server_raft_metrics_current_epoch
kafka_server_raft_metrics_current_leader
kafka_server_raft_metrics_high_watermark
kafka_server_raftchannelmetrics_incoming_byte_total
kafka_server_raftchannelmetrics_outgoing_byte_total
kafka_server_raftchannelmetrics_request_total
kafka_server_raftchannelmetrics_response_total
kafka_server_raftmetrics_append_records_rate
kafka_server_raftmetrics_commit_latency_avg
kafka_server_raftmetrics_current_epoch
kafka_server_raftmetrics_current_leader
kafka_server_raftmetrics_current_state
kafka_server_raftmetrics_current_vote
kafka_server_raftmetrics_fetch_records_rate
kafka_server_raftmetrics_high_watermark
kafka_server_raftmetrics_log_end_offset
kafka_server_replicafetchermanager_maxlag
kafka_server_replicafetchermanager_minfetchrate
kafka_server_replicamanager_isrexpandspersec
kafka_server_replicamanager_isrshrinkspersec
kafka_server_replicamanager_leadercount
kafka_server_replicamanager_partitioncount
kafka_server_replicamanager_underminisrpartitioncount
kafka_server_replicamanager_underreplicatedpartitions
kafka_server_socket_server_metrics_connection_count
kafka_server_socketservermetrics_connection_close_rate
kafka_server_socketservermetrics_connection_count
kafka_server_socketservermetrics_connection_creation_rate
process_cpu_seconds_total
process_cpu_secondspersec
process_open_fds
"""


@case("watching/health_and_readiness", own_node=True)
def health(it):
    if kafka_alone(it):
        return
    node, port = watched(it)
    equal(web.ask(port, "/healthz"), (200, "ok\n"), "/healthz")
    equal(web.ask(port, "/readyz"), (200, "ready\n"), "/readyz")
    node.stop()
    refused = False
    try:
        web.ask(port, "/healthz")
    except OSError:
        refused = True
    expect(refused, "a node that has stopped does not listen")


@case("watching/logs_as_json", own_node=True)
def json_logs(it):
    if kafka_alone(it):
        return
    home = it.home / "node"
    config = nodes.server_properties(home, ["no.such.key=1"])
    process, _ = nodes.launch(it.target.command("serve", "--log-format", "json", "--log-level", "warn,thalweg_broker=info", config), home)
    node = nodes.started(process, home, config)
    node.stop()
    lines = [json.loads(line) for line in (home / "node001.err.log").read_text().splitlines()]
    expect(all({"timestamp", "level", "target", "message"} <= line.keys() for line in lines), "every line is whole")
    expect(any("no.such.key" in line["message"] and line["level"] == "WARN" for line in lines), "the warning")
    expect(any(line["target"].startswith("thalweg_broker") and line["level"] == "INFO" for line in lines), "a module with a level of its own")
    expect(all(line["target"].startswith("thalweg_broker") for line in lines if line["level"] == "INFO"), "the others have theirs")


@case("watching/sighup_applies_what_may_change", own_node=True)
def sighup(it):
    if kafka_alone(it):
        return
    node, port = watched(it, "max.connections.per.ip=1000")
    topic = it.topic(bootstrap=node.bootstrap)
    changed = [f"thalweg.http.listen=127.0.0.1:{port}", "max.connections.per.ip=2", "num.partitions=5", "thalweg.log.level=debug"]
    nodes.server_properties(node.home, changed)
    node.process.send_signal(signal.SIGHUP)
    eventually(lambda: "need a restart" in node.log(), "the log says what became of it")
    said = node.log()
    contains(said, "max.connections.per.ip", "the log names what was applied")
    contains(said.split("need a restart:", 1)[1].splitlines()[0], "num.partitions", "the log names what was not")
    eventually(lambda: connections(node) == 2, "two connections are taken and no more")
    (node.home / "server.properties").write_text("nonsense\nnode.id=x\n")
    node.process.send_signal(signal.SIGHUP)
    eventually(lambda: "nothing has changed" in node.log(), "a file that cannot be used changes nothing")
    equal(connections(node), 2, "connections")
    expect(node.alive(), "the node runs on")
    node.stop()
    node = it.start()
    equal([m.value() for m in read_all(node.bootstrap, topic)], [], "the topic is there")
    node.stop()


def connections(node, tried=5):
    """How many of `tried` connections at once are served."""
    opened, served = [], 0
    try:
        for _ in range(tried):
            connection = frames.Connection(node.address)
            opened.append(connection)
            try:
                connection.ask(frames.api_versions())
                served += 1
            except (OSError, frames.Closed):
                pass
    finally:
        for connection in opened:
            connection.close()
    return served


@case("watching/limits_change_at_run_time", own_node=True)
def limits(it):
    node = it.start()
    tool = ("kafka-configs.sh", "--bootstrap-server", node.bootstrap, "--entity-type", "brokers", "--alter")
    it.java(*tool, "--entity-default", "--add-config", "max.connections.per.ip=7")
    eventually(lambda: connections(node, 10) == 7, "the limit for all nodes counts")
    it.java(*tool, "--entity-name", "1", "--add-config", "max.connections.per.ip=6")
    eventually(lambda: connections(node, 10) == 6, "the limit of this node counts over it")
    it.java(*tool, "--entity-name", "1", "--delete-config", "max.connections.per.ip")
    eventually(lambda: connections(node, 10) == 7, "without it the other counts again")
    node.stop()


@case("watching/a_full_node_lets_connections_wait", own_node=True)
def full(it):
    node = it.start("max.connections=3")
    held = [frames.Connection(node.address) for _ in range(3)]
    for connection in held:
        connection.ask(frames.api_versions())
    waiting = frames.Connection(node.address)
    waiting.send(frames.api_versions(0, 5))
    waiting.socket.settimeout(1)
    answered = True
    try:
        waiting.read()
    except TimeoutError:
        answered = False
    expect(not answered, "the fourth connection waits")
    held.pop().close()
    waiting.socket.settimeout(120)
    equal(waiting.read()[0], 5, "the answer, once there is room")
    waiting.close()
    for connection in held:
        connection.close()
    node.stop()


@case("watching/idle_connections_are_closed", own_node=True)
def idle(it):
    node = it.start("connections.max.idle.ms=1500")
    with frames.Connection(node.address) as connection:
        connection.ask(frames.api_versions())
        began = time.monotonic()
        closed = False
        try:
            connection.read()
        except (frames.Closed, ConnectionError):
            closed = True
        expect(closed and time.monotonic() - began > 1, f"closed after {time.monotonic() - began:.1f} s")
    node.stop()


@case("watching/strangers_at_the_http_port_harm_nobody", own_node=True)
def strangers(it):
    """Slow heads, huge heads, silence and unread answers cost them their connection, and the clients of the node nothing."""
    if kafka_alone(it):
        return
    node, port = watched(it)
    for number in range(20):
        it.topic(50, f"wide{number}", bootstrap=node.bootstrap)
    topic = it.topic(bootstrap=node.bootstrap)
    bystander = Bystander(node, topic)
    from harness import procs

    before = procs.rss_kb(node.pid)
    silent = [socket.create_connection(("127.0.0.1", port), 120) for _ in range(60)]
    dripping = [socket.create_connection(("127.0.0.1", port), 120) for _ in range(4)]
    for connection in dripping:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    huge = []
    for _ in range(4):
        connection = socket.create_connection(("127.0.0.1", port), 120)
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 5_000_000)
        except OSError:
            pass
        huge.append(connection)
    unread = [web.send(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(8)]
    equal(web.ask(port, "/healthz"), (200, "ok\n"), "the node's health, in the end")
    for connection in (*silent, *dripping, *huge, *unread):
        connection.close()
    bystander.finish()
    memory_bounded(it, node, before, bystander.peak_kb, 40, "strangers")
    it.note(f"the bystander waited {bystander.slowest * 1000:.0f} ms at most")
    eventually(lambda: procs.open_files(node.pid) < 1200, "connections are let go")
    node.stop()


@case("watching/a_second_sigterm_waits_for_nobody", own_node=True)
def impatient(it):
    if kafka_alone(it):
        return
    # Without the second signal it waits for five seconds. A machine that is busy may lose as many: it has several tries.
    waited = [second_signal(it) for _ in range(5) if not it.notes]
    expect(it.notes, f"seconds from the second signal to the end: {waited}")


def second_signal(it):
    """How long a node that waits for a client goes on after the second signal."""
    node = it.start()
    topic = it.topic(bootstrap=node.bootstrap)
    produce_all(node.bootstrap, topic, [b"x" * 500_000] * 40)
    unread = frames.Connection(node.address)
    for _ in range(20):
        unread.send(frames.fetch(topic, 0, 0))  # answers that its client does not take
    node.process.send_signal(signal.SIGTERM)
    eventually(lambda: not taken(node), "no more connections are taken")
    is_waiting = node.alive()
    began = time.monotonic()
    node.stop()
    took = time.monotonic() - began
    expect((node.data / ".kafka_cleanshutdown").exists(), "the logs were closed")
    unread.close()
    if is_waiting and took < 3:
        it.note(f"{took:.2f} s")
    return took


def taken(node):
    """Whether the node takes a connection."""
    try:
        frames.Connection(node.address).close()
    except ConnectionError:
        return False
    return True


@case("watching/what_clients_push_of_their_own_metrics_is_shown", own_node=True)
def telemetry(it):
    """A Java producer and librdkafka (KIP-714): both push when a subscription matches them."""
    if kafka_alone(it):
        return
    node, port = watched(it)

    def subscriptions(*arguments, **options):
        return it.java("kafka-client-metrics.sh", "--bootstrap-server", node.bootstrap, *arguments, **options)

    wanted = "org.apache.kafka.producer."
    made = subscriptions("--alter", "--name", "mine", "--metrics", wanted, "--interval", 300, "--match", "client_id=mine-.*")
    contains(made, "Altered client metrics config for mine.", "kafka-client-metrics.sh --alter")
    contains(subscriptions("--describe", "--name", "mine"), f"metrics={wanted}", "kafka-client-metrics.sh --describe")
    equal(subscriptions("--list"), "mine\n", "kafka-client-metrics.sh --list")
    topic = it.topic(bootstrap=node.bootstrap)

    def shown(client):
        samples = web.Metrics(port).samples
        return {name for name, labels in samples if ("client_id", client) in labels and name.startswith("org_apache_kafka_producer_")}

    # Clients push at their interval, as long as they live: one that is done before it asked for its subscription never pushes.
    librdkafka = Producer({"bootstrap.servers": node.bootstrap, "client.id": "mine-c"})
    librdkafka.produce(topic, b"x")
    equal(librdkafka.flush(120), 0, "messages that were not delivered")
    eventually(lambda: shown("mine-c"), "librdkafka's metrics")
    command = ("kafka-console-producer.sh", "--bootstrap-server", node.bootstrap, "--topic", topic, "--command-property", "client.id=mine-java")
    java = procs.spawn([INTEROP / "kafka" / "kafka", "bin", *command], subprocess.DEVNULL, subprocess.DEVNULL, stdin=subprocess.PIPE)
    java.stdin.write(b"a line\n")
    java.stdin.flush()
    eventually(lambda: "org_apache_kafka_producer_connection_creation_total" in shown("mine-java"), "the Java producer's metrics")
    java.stdin.close()
    equal(java.wait(120), 0, "the console producer's exit code")
    produce_all(node.bootstrap, topic, [b"x"] * 100, **{"client.id": "other"})
    equal(shown("other"), set(), "metrics of a client that no subscription matches")
    software = {dict(labels)["client_id"]: dict(labels)["client_software_name"] for name, labels in web.Metrics(port).samples if name == "thalweg_client_info"}
    equal(software, {"mine-c": "confluent-kafka-python", "mine-java": "apache-kafka-java"}, "whose metrics are shown")
    node.stop()
