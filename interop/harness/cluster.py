"""Several nodes that form one cluster on this machine, each a broker and a controller with a directory of its own."""

import os
import subprocess
import time

from . import frames, nodes

READY_SECONDS = 120
SETTINGS = ["inter.broker.listener.name=PLAINTEXT", "controller.listener.names=CONTROLLER", "group.initial.rebalance.delay.ms=0"]


class Cluster:
    """`count` nodes with ids from 1 on. `members[id]` is the running node, or None while it is down. `properties` are lines for
    all of them, `each(id)` those for one. `targets(id)` is what a node is (all are `target` unless it is given), `controllers` and
    `brokers` are the ids with these roles (all have both). With `dynamic`, voters stand in the metadata log (KIP-853). Nodes are
    on loopback, or each on a host of `network`; `environment(id)` are variables of one."""

    def __init__(
        self,
        target,
        home,
        count=3,
        *properties,
        each=lambda id: [],
        targets=None,
        controllers=None,
        brokers=None,
        dynamic=False,
        network=None,
        environment=lambda id: {},
    ):
        self.home, self.network, self.environment = home, network, environment
        self.ids = range(1, count + 1)
        self.kinds = {id: targets(id) if targets else target for id in self.ids}
        self.controllers, self.brokers = controllers or list(self.ids), brokers or list(self.ids)
        ports = nodes.free_ports(2 * count)
        self.hosts = {id: network.address(id) if network else "127.0.0.1" for id in self.ids}
        self.ports = dict(zip(self.ids, zip(ports[:count], ports[count:])))
        self.clients = {id: self.ports[id][0] for id in self.brokers}
        self.properties = properties
        format_options = []
        if dynamic:
            directories = {id: nodes.run_quietly(target.storage("random-uuid")).split()[-1] for id in self.controllers}
            initial = ",".join(f"{id}@{self.controller(id)}:{directory}" for id, directory in directories.items())
            format_options = ["--initial-controllers", initial]
            self.directory_ids = directories
        for id in self.ids:
            self.directory(id).mkdir(parents=True, exist_ok=True)
            lines = [*self._identity(id, dynamic), *SETTINGS, *properties, *each(id)]
            self.config(id).write_text("".join(f"{line}\n" for line in lines))
        self.id = nodes.run_quietly(target.storage("random-uuid")).split()[-1]
        for id in self.ids:
            self.format(id, *(format_options if id in self.controllers else []))
        self.members = dict.fromkeys(self.ids)
        for id in self.ids:
            self.launch(id)
        self.until_all_are_there()

    def _identity(self, id, dynamic):
        """The lines of a node's properties that say who it is and where others are."""
        roles = [role for role, ids in (("broker", self.brokers), ("controller", self.controllers)) if id in ids]
        client, controller = f"PLAINTEXT://{self.hosts[id]}:{self.ports[id][0]}", f"CONTROLLER://{self.controller(id)}"
        listeners = [*([client] if "broker" in roles else []), *([controller] if "controller" in roles else [])]
        count = min(3, len(self.brokers))
        if dynamic:
            quorum = "controller.quorum.bootstrap.servers=" + ",".join(self.controller(other) for other in self.controllers)
        else:
            quorum = "controller.quorum.voters=" + ",".join(f"{other}@{self.controller(other)}" for other in self.controllers)
        return [
            f"process.roles={','.join(roles)}",
            f"node.id={id}",
            quorum,
            f"listeners={','.join(listeners)}",
            f"log.dirs={self.directory(id)}/data",
            f"offsets.topic.replication.factor={count}",
            f"transaction.state.log.replication.factor={count}",
        ]

    def controller(self, id):
        """Where a node's controller listens."""
        return f"{self.hosts[id]}:{self.ports[id][1]}"

    def format(self, id, *options):
        """Makes a node's directory one of this cluster."""
        nodes.run_quietly(self.kinds[id].storage("format", "-t", self.id, "-c", self.config(id), *options))

    def directory(self, id):
        """Where a node keeps what it has."""
        return self.home / f"node{id}"

    def config(self, id):
        """Its properties file."""
        return self.directory(id) / "server.properties"

    @property
    def bootstrap(self):
        """All of them, as clients want it."""
        return ",".join(f"{self.hosts[id]}:{port}" for id, port in self.clients.items())

    def launch(self, id):
        """Starts a node, and does not wait for it."""
        target = self.kinds[id]
        is_java = target.name == "kafka"
        command = [str(target.script), "node"] if is_java else target.command("serve")
        command = [*command, str(self.config(id))]
        command = self.network.inside(id, command) if self.network else command
        process, _ = nodes.launch(command, self.directory(id), {**os.environ, **self.environment(id)})
        self.members[id] = nodes.Node(process, f"{self.hosts[id]}:{self.ports[id][0]}", self.directory(id), is_java=is_java)

    def until_all_are_there(self):
        """Until every node that runs names every node that runs as a broker."""
        deadline = time.monotonic() + READY_SECONDS
        running = {id: node for id, node in self.members.items() if node is not None and id in self.brokers}
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

    def quorum_leader(self):
        """Which node is the active controller, as a broker that runs says."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            for id in self.brokers:
                if (node := self.members[id]) is not None:
                    try:
                        with frames.Connection(node.address, timeout=5) as connection:
                            if (active := connection.quorum_leader()) >= 0:
                                return active
                    except (OSError, frames.Closed):
                        pass
            time.sleep(0.05)
        raise AssertionError(f"no active controller within {READY_SECONDS} s")

    def kill(self, id):
        """kill -9."""
        self.members[id].kill()
        self.members[id] = None

    def end(self, id):
        """Stops a node cleanly, and waits until it is gone."""
        self.members[id].process.terminate()
        self.members[id].process.wait(nodes.STOP_SECONDS)
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
