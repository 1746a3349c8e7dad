"""A network of its own for the nodes of a case, whose directions can be cut one by one.

The process of the case moves to a network namespace, where a bridge joins it to a namespace for each node. Nothing of it is seen
outside, and the kernel removes it when the process ends. It works as root, and for others where user namespaces are allowed.
"""

import subprocess

from . import namespaces, procs

# An address on the bridge's network that nobody has: what is sent to it is lost without an answer, as behind a broken cable.
_NOBODY = "02:00:00:00:00:99"
CLIENTS = 254


class Network:
    """A host for each of `ids`, each under an address of its own. Must be made before the case starts its first thread."""

    def __init__(self, ids):
        namespaces.enter(namespaces.NETWORK)
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge", "type", "bridge")
        _run("ip", "addr", "add", f"{self.address(CLIENTS)}/24", "dev", "bridge")
        _run("ip", "link", "set", "bridge", "up")
        self.hosts = {id: _host(id, self.address(id)) for id in ids}
        self._cut = set()

    def address(self, id):
        """Where a host is reached."""
        return f"10.213.0.{id}"

    def inside(self, id, command):
        """A command line that runs `command` on a host."""
        return ["nsenter", "-t", str(self.hosts[id].pid), "-n", "--", *map(str, command)]

    def cut(self, sender, receiver):
        """What `sender` sends to `receiver` is lost from now on; the other direction stays. `CLIENTS` is where the case itself is."""
        device = "bridge" if sender == CLIENTS else "eth0"
        self._on(sender, "ip", "neigh", "replace", self.address(receiver), "lladdr", _NOBODY, "dev", device, "nud", "permanent")
        self._cut.add((sender, receiver, device))

    def part(self, one, other):
        """Neither hears the other from now on."""
        self.cut(one, other)
        self.cut(other, one)

    def isolate(self, id):
        """A host hears no other host, and is not heard; clients still reach it."""
        for other in self.hosts:
            if other != id:
                self.part(id, other)

    def unplug(self, id):
        """A host hears nobody, and nobody hears it."""
        self.isolate(id)
        self.part(id, CLIENTS)

    def deafen(self, id):
        """A host hears no other host, but is heard."""
        for other in self.hosts:
            if other != id:
                self.cut(other, id)

    def heal(self):
        """Everybody hears everybody again."""
        for sender, receiver, device in self._cut:
            self._on(sender, "ip", "neigh", "del", self.address(receiver), "dev", device)
        self._cut.clear()

    def _on(self, id, *command):
        _run(*(command if id == CLIENTS else self.inside(id, command)))


def _host(id, address):
    """The process that holds a host's namespace; it ends with the harness."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE, preexec_fn=procs.die_with_parent
    )
    holder.stdout.readline()
    _run("ip", "link", "add", f"host{id}", "type", "veth", "peer", "name", "eth0", "netns", holder.pid)
    _run("ip", "link", "set", f"host{id}", "master", "bridge", "up")
    for command in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
        _run("nsenter", "-t", holder.pid, "-n", "ip", *command)
    return holder


def _run(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}"
