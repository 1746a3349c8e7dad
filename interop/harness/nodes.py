"""Starts and stops the node under test: Thalweg, or Apache Kafka as the reference that the cases are proved with."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import frames, procs
from .install import INTEROP, TARGET

READY_SECONDS = 180
STOP_SECONDS = 180


class Node:
    """One running node. `bootstrap` is where clients connect; `data` is its directory, if the case chose one."""

    def __init__(self, process, bootstrap, home, data=None, is_java=False):
        self.process = process
        self.is_java = is_java
        self.pid = process.pid
        self.bootstrap = bootstrap
        self.home = home
        self.data = data

    @property
    def address(self):
        """Host and port, as sockets want them."""
        host, port = self.bootstrap.rsplit(":", 1)
        return host, int(port)

    def alive(self):
        """Whether the process still runs."""
        return self.process.poll() is None

    def stop(self, sign=signal.SIGTERM):
        """A clean shutdown; the exit code must be 0 (a Java machine ends with 128 + the signal)."""
        if self.alive():
            self.process.send_signal(sign)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the node did not stop within {STOP_SECONDS} s of signal {sign}") from None
        wanted = 128 + sign if self.is_java else 0
        assert code == wanted, f"the node ended with {code}, not {wanted}, after signal {sign}: {logs(self.home)}"

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def log(self):
        """What the node printed, both streams."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.home.glob("node*.log")))


class Thalweg:
    """Our own binary."""

    name = "thalweg"

    def __init__(self):
        self.binary = Path(os.environ.get("THALWEG", TARGET / "release" / "thalweg"))

    def command(self, *arguments):
        """A command line of the binary."""
        return [str(self.binary), *map(str, arguments)]

    def ephemeral(self, home, *overrides):
        """A throw-away node on a free port; its first line says where it listens."""
        home.mkdir(parents=True, exist_ok=True)
        command = self.command("serve", "--ephemeral", *pairs(overrides))
        process, out = launch(command, home, env={**os.environ, "TMPDIR": str(home)})
        bootstrap = first_line(process, out, home)
        node = Node(process, bootstrap, home)
        wait_ready(node)
        return node

    def start(self, home, *properties, overrides=(), **options):
        """A node on `home`/data, which it formats when that is empty. Called again on the same home it restarts there."""
        config = server_properties(home, properties)
        process, _ = launch(self.command("serve", config, *pairs(overrides)), home)
        return started(process, home, config, **options)

    def storage(self, *arguments):
        """The command that formats directories and tells of them."""
        return self.command("storage", *arguments)

    def format(self, home, *properties):
        """The properties file of a node that has not started yet."""
        return server_properties(home, properties)


class Kafka:
    """Apache Kafka 4.3.1, one combined node."""

    name = "kafka"
    script = INTEROP / "kafka" / "kafka"

    def ephemeral(self, home, *overrides):
        """A fresh node in `home`."""
        return self.start(home, *overrides)

    def start(self, home, *properties, overrides=(), **options):
        """A node on `home`/data, formatted when that is empty, with Kafka's own storage tool."""
        config = self.format(home, *properties)
        process, _ = launch([str(self.script), "node", str(config), *pairs(overrides)], home)
        return started(process, home, config, is_java=True, **options)

    def format(self, home, *properties):
        """Writes the properties file and formats the directory unless it already is."""
        config = server_properties(home, properties)
        if not (home / "data" / "meta.properties").exists():
            cluster = run_quietly(self.storage("random-uuid")).split()[-1]
            run_quietly(self.storage("format", "--standalone", "-t", cluster, "-c", config))
        return config

    def storage(self, *arguments):
        """The command that formats directories and tells of them."""
        return [str(self.script), "bin", "kafka-storage.sh", *map(str, arguments)]


def run_quietly(command):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def pairs(overrides):
    """`--override key=value` for each."""
    return [part for override in overrides for part in ("--override", override)]


def free_ports(count):
    """Ports on loopback that were free a moment ago."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def server_properties(home, extra):
    """A server.properties of a combined node of one in `home`, written once; `extra` lines are added at the end each time."""
    home.mkdir(parents=True, exist_ok=True)
    base, config = home / "base.properties", home / "server.properties"
    if not base.exists():
        client, controller = free_ports(2)
        base.write_text(
            "process.roles=broker,controller\n"
            "node.id=1\n"
            f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
            "inter.broker.listener.name=PLAINTEXT\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={home}/data\n"
            "offsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\n"
            "share.coordinator.state.topic.replication.factor=1\n"
            "share.coordinator.state.topic.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\n"
        )
    config.write_text(base.read_text() + "".join(line + "\n" for line in extra))
    return config


def launch(command, home, env=None):
    """Starts a node with its output in files of `home`, one pair per start."""
    number = len(list(home.glob("node*.out.log"))) + 1
    out = home / f"node{number:03}.out.log"
    with open(out, "w") as stdout, open(home / f"node{number:03}.err.log", "w") as stderr:
        return procs.spawn(command, stdout, stderr, env=env), out


def first_line(process, out, home):
    """The address in the first line of a throw-away node."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        text = out.read_text()
        if "\n" in text:
            line = text.split("\n", 1)[0]
            assert line.startswith("bootstrap.servers="), f"the first line is {line!r}, not bootstrap.servers=..."
            return line.split("=", 1)[1]
        if process.poll() is not None:
            break
        time.sleep(0.002)
    process.kill()
    raise AssertionError(f"the node printed no first line: {logs(home)}")


def started(process, home, config, wait=True, is_java=False):
    """The `Node` of a process that was started with a properties file."""
    listeners = next(line for line in config.read_text().splitlines() if line.startswith("listeners="))
    bootstrap = listeners.split("://", 1)[1].split(",", 1)[0]
    node = Node(process, bootstrap, home, home / "data", is_java)
    if wait:
        wait_ready(node)
    return node


def wait_ready(node):
    """Until the node answers Metadata and is in it."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if not node.alive():
            raise AssertionError(f"the node ended with code {node.process.returncode}: {logs(node.home)}")
        try:
            with frames.Connection(node.address, timeout=5) as connection:
                if connection.brokers():
                    return
        except (OSError, frames.Closed):
            pass
        time.sleep(0.01)
    node.process.kill()
    raise AssertionError(f"the node answered no Metadata request within {READY_SECONDS} s: {logs(node.home)}")


def logs(home, limit=3000):
    """The end of what a node printed."""
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-limit:]}" for path in sorted(home.glob("node*.log"))[-2:])
