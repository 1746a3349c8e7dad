#!/usr/bin/env python3
"""Starts and stops the nodes that the recorded command lines talk to.

cluster.py kafka|thalweg up DIR NODES key=value...    a fresh cluster; prints bootstrap.servers as its last word
cluster.py kafka|thalweg start DIR/nodeI              starts a stopped node again
cluster.py kafka|thalweg down DIR                     stops all nodes

Node i lies in DIR/nodei: server.properties, data, pid, server.log.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KAFKA = ROOT / "interop" / "kafka" / "kafka"
READY_SECONDS = 180
STOP_SECONDS = 120


def free_ports(count):
    """Ports of five digits on loopback that were free a moment ago."""
    held = []
    while len(held) < count:
        held.append(socket.socket())
        held[-1].bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def tool(program, *arguments):
    """The storage tool of a program; the last line that it prints."""
    command = [KAFKA, "bin", "kafka-storage.sh"] if program == "kafka" else [thalweg(), "storage"]
    printed = subprocess.check_output([*command, *map(str, arguments)], text=True, stdin=subprocess.DEVNULL)
    return printed.strip().splitlines()[-1]


def thalweg():
    """The binary that is tried."""
    return os.environ.get("THALWEG", ROOT / "target" / "release" / "thalweg")


def server_properties(node, number, ports, extra):
    """The properties of one combined node among `len(ports) / 2`."""
    count = len(ports) // 2
    replicas = min(count, 3)
    controllers = ",".join(f"127.0.0.1:{ports[2 * i + 1]}" for i in range(count))
    listeners = f"PLAINTEXT://127.0.0.1:{ports[2 * number - 2]},CONTROLLER://127.0.0.1:{ports[2 * number - 1]}"
    return "\n".join([
        "process.roles=broker,controller",
        f"node.id={number}",
        f"controller.quorum.bootstrap.servers={controllers}",
        f"listeners={listeners}",
        f"advertised.listeners={listeners}",
        "inter.broker.listener.name=PLAINTEXT",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={node}/data",
        f"offsets.topic.replication.factor={replicas}",
        f"transaction.state.log.replication.factor={replicas}",
        f"transaction.state.log.min.isr={2 if count > 1 else 1}",
        f"share.coordinator.state.topic.replication.factor={replicas}",
        f"share.coordinator.state.topic.min.isr={2 if count > 1 else 1}",
        "group.initial.rebalance.delay.ms=0",
        *extra,
        "",
    ])


def up(program, home, count, extra):
    """Formats and starts a cluster, and waits until each broker answers."""
    ports = free_ports(2 * count)
    nodes = [home / f"node{number}" for number in range(1, count + 1)]
    for number, node in enumerate(nodes, 1):
        node.mkdir(parents=True, exist_ok=True)
        (node / "server.properties").write_text(server_properties(node, number, ports, extra))
    if program == "kafka" or count > 1:  # one Thalweg node formats its own directory
        storage = lambda *arguments: tool(program, *arguments)
        cluster = storage("random-uuid")
        voters = ["--standalone"]
        if count > 1:
            one = lambda number: f"{number}@127.0.0.1:{ports[2 * number - 1]}:{storage('random-uuid')}"
            voters = ["--initial-controllers", ",".join(one(number) for number in range(1, count + 1))]
        for node in nodes:
            storage("format", *voters, "-t", cluster, "-c", node / "server.properties")
    for node in nodes:
        start(program, node)
    boots = [f"127.0.0.1:{port}" for port in ports[::2]]
    for address, node in zip(boots, nodes):
        wait(address, node, count)
    print(",".join(boots))


def start(program, node):
    """Starts one node; its process outlives this one."""
    command = [KAFKA, "node"] if program == "kafka" else [thalweg(), "serve"]
    with open(node / "server.log", "a") as log:
        process = subprocess.Popen([*command, node / "server.properties"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (node / "pid").write_text(str(process.pid))


def wait(address, node, count):
    """Until the node tells of all brokers."""
    sys.path.insert(0, str(ROOT / "interop"))
    from harness import frames

    host, port = address.split(":")
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with frames.Connection((host, int(port)), timeout=5) as connection:
                if connection.brokers() == count:
                    return
        except (OSError, frames.Closed):
            pass
        time.sleep(0.05)
    sys.exit(f"cluster: {address} is not ready: {(node / 'server.log').read_text()[-2000:]}")


def down(home):
    """Ends every node of a cluster."""
    pids = [int(file.read_text()) for file in home.glob("node*/pid")]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        for pid in pids:
            if alive(pid):
                os.kill(pid, sign)
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def main():
    """The command line."""
    match sys.argv[1:]:
        case [("kafka" | "thalweg") as program, "up", home, count, *extra]:
            up(program, Path(home).resolve(), int(count), extra)
        case [("kafka" | "thalweg") as program, "start", node]:
            start(program, Path(node).resolve())
        case [_, "down", home]:
            down(Path(home).resolve())
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
