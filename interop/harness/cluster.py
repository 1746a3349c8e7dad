"""Several nodes that form one cluster on this machine, each a broker and a controller with a directory of its own."""

import subprocess
import time

from . import frames, nodes

READY_SECONDS = 120


class Cluster:
    """`count` nodes with ids from 1 on. `members[id]` is the running node, or None while it is down. `properties` are lines for
    all of them, `each(id)` those for one."""

    def __init__(self, target, home, count=3, *properties, each=lambda id: []):
        self.target, self.home = target, home
        ports = nodes.free_ports(2 * count)
        self.ids = range(1, count + 1)
        self.clients = dict(zip(self.ids, ports[:count]))
        controllers = dict(zip(self.ids, ports[count:]))
        voters = ",".join(f"{id}@127.0.0.1:{port}" for id, port in controllers.items())
        for id in self.ids:
            text = (
                "process.roles=broker,controller\n"
                f"node.id={id}\n"
                f"controller.quorum.voters={voters}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{self.clients[id]},CONTROLLER://127.0.0.1:{controllers[id]}\n"
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.clients[id]}\n"
                "inter.broker.listener.name=PLAINTEXT\n"
                "controller.listener.names=CONTROLLER\n"
                f"log.dirs={self.directory(id)}/data\n"
                f"offsets.topic.replication.factor={count}\n"
                f"transaction.state.log.replication.factor={count}\n"
                "group.initial.rebalance.delay.ms=0\n"
            )
            self.directory(id).mkdir(parents=True)
            self.config(id).write_text(text + "".join(f"{line}\n" for line in [*properties, *each(id)]))
        cluster = nodes.run_quietly(target.storage("random-uuid")).split()[-1]
        for id in self.ids:
            nodes.run_quietly(target.storage("format", "-t", cluster, "-c", self.config(id)))
        self.members = dict.fromkeys(self.ids)
        for id in self.ids:
            self.launch(id)
        self.until_all_are_there()

    def directory(self, id):
        """Where a node keeps what it has."""
        return self.home / f"node{id}"

    def config(self, id):
        """Its properties file."""
        return self.directory(id) / "server.properties"

    @property
    def bootstrap(self):
        """All of them, as clients want it."""
        return ",".join(f"127.0.0.1:{port}" for port in self.clients.values())

    def launch(self, id):
        """Starts a node, and does not wait for it."""
        command = [str(self.target.script), "node"] if self.target.name == "kafka" else self.target.command("serve")
        process, _ = nodes.launch([*command, str(self.config(id))], self.directory(id))
        is_java = self.target.name == "kafka"
        self.members[id] = nodes.Node(process, f"127.0.0.1:{self.clients[id]}", self.directory(id), is_java=is_java)

    def until_all_are_there(self):
        """Until every node that runs names every node that runs as a broker."""
        deadline = time.monotonic() + READY_SECONDS
        running = {id: node for id, node in self.members.items() if node is not None}
        for node in running.values():
            while time.monotonic() < deadline:
                assert node.alive(), f"a node ended with code {node.process.returncode}: {nodes.logs(node.home)}"
                try:
                    with frames.Connection(node.address, timeout=5) as connection:
                        if connection.brokers() >= len(running):
                            break
                except (OSError, frames.Closed):
                    pass
                time.sleep(0.05)
            else:
                raise AssertionError(f"not all brokers are there after {READY_SECONDS} s: {nodes.logs(node.home)}")

    def kill(self, id):
        """kill -9."""
        self.members[id].kill()
        self.members[id] = None

    def stop(self):
        """Stops all of them, one after the other."""
        for id, node in self.members.items():
            if node is not None:
                node.process.terminate()
        for id, node in self.members.items():
            if node is not None:
                try:
                    node.process.wait(60)
                except subprocess.TimeoutExpired:
                    node.process.kill()
                self.members[id] = None
