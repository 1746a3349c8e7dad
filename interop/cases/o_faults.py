"""Disks, clocks and identities of three nodes that go wrong: what was acknowledged is there once and in order."""

import shutil
import signal
import subprocess
import time

from confluent_kafka.admin import NewTopic

from harness import nodes
from harness.case import case, contains, eventually, expect
from harness.cluster import Cluster
from harness.disk import Disk
from harness.install import INTEROP

from .o_cluster import leader
from .work import Work


def empty(cluster, id):
    """Takes away all that a node has written."""
    shutil.rmtree(cluster.directory(id) / "data")


@case("faults/a_broker_comes_back_with_an_empty_disk", own_node=True, slow=True, seconds=600)
def empty_broker(it):
    cluster = Cluster(it.target, it.home / "three", 3, controllers=[1])
    work = Work(it, cluster)
    for id in (2, 3):
        cluster.kill(id)
        empty(cluster, id)
        cluster.format(id)
        work.goes_on(f"without node {id}")
        cluster.launch(id)
        work.whole(f"after node {id} lost its disk")
    work.finish(it)
    cluster.stop()


@case("faults/a_voter_gets_a_new_disk", own_node=True, slow=True, seconds=900)
def empty_voter(it):
    cluster = Cluster(it.target, it.home / "three", 3, dynamic=True)
    work = Work(it, cluster)
    active = cluster.quorum_leader()
    for id in (next(other for other in cluster.ids if other != active), active):
        cluster.kill(id)
        empty(cluster, id)
        work.goes_on(f"without node {id}")
        old = cluster.directory_ids[id]
        quorum = ["kafka-metadata-quorum.sh", "--bootstrap-server", cluster.bootstrap]
        it.java(*quorum, "remove-controller", "--controller-id", id, "--controller-directory-id", old)
        cluster.format(id, "--no-initial-controllers")
        cluster.launch(id)
        work.whole(f"after node {id} lost its disk")
        it.java(*quorum, "--command-config", cluster.config(id), "add-controller")
        status = it.java(*quorum, "describe", "--status")
        voters = status.split("CurrentVoters")[1].split("CurrentObservers")[0]
        expect(old not in voters, f"the old disk of node {id} votes no longer: {voters}")
        contains(voters, f'"id": {id},', "voters")
    work.goes_on("with new disks")
    cluster.kill(next(other for other in cluster.ids if other != cluster.quorum_leader()))
    work.goes_on("with two of three voters")
    work.finish(it)
    cluster.stop()


@case("faults/a_node_comes_back_with_an_older_disk", own_node=True, slow=True, seconds=900)
def older_disk(it):
    cluster = Cluster(it.target, it.home / "three", 3, dynamic=True)
    work = Work(it, cluster)
    for id in cluster.ids:
        cluster.kill(id)
        backup = cluster.directory(id) / "backup"
        shutil.copytree(cluster.directory(id) / "data", backup)
        work.goes_on(f"without node {id}")
        cluster.launch(id)
        work.whole(f"after node {id} was killed")
        work.goes_on("for a while")
        cluster.kill(id)
        work.goes_on(f"without node {id} again")
        empty(cluster, id)
        backup.rename(cluster.directory(id) / "data")
        cluster.launch(id)
        work.whole(f"after node {id} came back with an older disk")
        work.goes_on("with the older disk")
    work.finish(it)
    cluster.stop()


@case("faults/the_disk_of_a_node_is_full", own_node=True, slow=True, seconds=600)
def full_disk(it):
    disk = Disk(it.home / "three" / "node2" / "disk", 400 << 20)
    own = lambda id: [f"log.dirs={disk.path}/data"] if id == 2 else []
    cluster = Cluster(it.target, it.home / "three", 3, each=own, controllers=[1])
    work = Work(it, cluster)
    disk.fill()
    eventually(lambda: cluster.members[2].process.poll() is not None, "the node without a directory that it can write to stops", 60)
    work.goes_on("while the disk of node 2 is full")
    disk.make_room()
    cluster.launch(2)
    work.whole("after the disk of node 2 was full")
    work.finish(it)
    cluster.stop()


@case("faults/a_paused_node_wakes_after_a_minute", own_node=True, slow=True, seconds=900)
def paused(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    work = Work(it, cluster)
    for name, victim in (("leader", lambda: leader(work.admin, work.source)), ("controller", cluster.quorum_leader)):
        id = victim()
        cluster.members[id].process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        work.is_acknowledged(f"while the {name} sleeps", 60)
        it.note(f"the {name} sleeps: acknowledged after {time.monotonic() - began:.1f} s")
        time.sleep(max(0, 60 - (time.monotonic() - began)))
        cluster.members[id].process.send_signal(signal.SIGCONT)
        work.whole(f"after the {name} woke")
        work.goes_on(f"after the {name} woke")
    work.finish(it)
    cluster.stop()


@case("faults/a_clock_is_an_hour_off", own_node=True, slow=True, seconds=600)
def wrong_clock(it):
    shifted = it.home / "shifted.so"
    it.command("cc", "-shared", "-fPIC", "-O2", "-o", shifted, INTEROP / "harness" / "shifted_clock.c", "-ldl")
    clocks = {1: 0, 2: 3600, 3: -3600}
    environment = lambda id: {"LD_PRELOAD": str(shifted), "CLOCK_SHIFT_SECONDS": str(clocks[id])}
    cluster = Cluster(it.target, it.home / "three", 3, environment=environment)
    work = Work(it, cluster)
    for id in cluster.ids:
        cluster.kill(id)
        work.goes_on(f"without node {id}")
        cluster.launch(id)
        work.whole(f"after node {id} was killed")
    work.finish(it)
    cluster.stop()


@case("faults/a_node_of_another_cluster_and_a_second_node_of_the_same_id_change_nothing", own_node=True, slow=True, seconds=600)
def strangers(it):
    cluster = Cluster(it.target, it.home / "three", 3, controllers=[1])
    work = Work(it, cluster)
    other = nodes.run_quietly(it.target.storage("random-uuid")).split()[-1]
    for id, cluster_id, said in ((9, other, "of another cluster"), (2, cluster.id, "DUPLICATE_BROKER_REGISTRATION")):
        home = it.home / f"stranger{id}"
        home.mkdir()
        (port,) = nodes.free_ports(1)
        text = cluster.config(2).read_text().replace(f":{cluster.ports[2][0]}", f":{port}").replace("node.id=2", f"node.id={id}")
        (home / "server.properties").write_text(text.replace(str(cluster.directory(2)), str(home)))
        nodes.run_quietly(it.target.storage("format", "-t", cluster_id, "-c", home / "server.properties"))
        config = str(home / "server.properties")
        command = [str(it.target.script), "node", config] if it.is_kafka else it.target.command("serve", config)
        process, _ = nodes.launch(command, home)
        if not it.is_kafka:
            eventually(lambda: said in nodes.logs(home), f"the node says {said!r}: {nodes.logs(home)}", 60)
        work.goes_on(f"beside node {id}")
        process.kill()
        process.wait()
        work.whole(f"after node {id}")
    work.finish(it)
    cluster.stop()


class BadDisk:
    """While it is entered, the disk of a running node is slow, or fails: `strace` changes each call that writes to a file or syncs
    one, by a rule of its option `inject` such as `delay_enter=1s` or `error=EIO`."""

    CALLS = "pwrite64,pwritev,pwritev2,fdatasync,fsync"

    def __init__(self, node, rule):
        self.node, self.pid, self.rule = node, node.process.pid, rule

    def __enter__(self):
        options = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.CALLS}", "-e", f"inject={self.CALLS}:{self.rule}"]
        self.tracer = subprocess.Popen(["strace", *options, "-p", str(self.pid)], stderr=subprocess.DEVNULL)
        traced = lambda: f"TracerPid:\t{self.tracer.pid}\n" in open(f"/proc/{self.pid}/status").read()
        # A node may end at the first call that fails.
        eventually(lambda: not self.node.alive() or traced(), "strace is attached to the node", 20)

    def __exit__(self, *_):
        self.tracer.terminate()
        self.tracer.wait()


@case("faults/the_disk_of_a_node_is_slow", own_node=True, slow=True, seconds=900)
def slow_disk(it):
    cluster = Cluster(it.target, it.home / "three", 3)
    work = Work(it, cluster)
    for milliseconds in (20, 1000, 5000):
        for name, victim in (("leader", lambda: leader(work.admin, work.source)), ("controller", cluster.quorum_leader)):
            id = victim()
            with BadDisk(cluster.members[id], f"delay_enter={milliseconds}ms"):
                began = time.monotonic()
                work.is_acknowledged(f"while each write of the {name} takes {milliseconds} ms")
                it.note(f"the {name} at {milliseconds} ms: acknowledged after {time.monotonic() - began:.1f} s")
                time.sleep(max(0, 20 - (time.monotonic() - began)))
            work.whole(f"after the disk of the {name} was slow")
    work.goes_on("with disks as they were")
    work.finish(it)
    cluster.stop()


@case("faults/the_disk_of_a_node_fails", own_node=True, slow=True, seconds=900)
def failing_disk(it):
    cluster = Cluster(it.target, it.home / "five", 5, controllers=[3, 4, 5], brokers=[1, 2, 3])
    work = Work(it, cluster)

    def has_stopped(id):
        # An idle controller writes nothing.
        work.admin.create_topics([NewTopic(it.new_name(), 1, 1)])
        return cluster.members[id].process.poll() is not None

    for name, victim in (("a broker", lambda: 1), *[("the active controller", cluster.quorum_leader)] * 2):
        id = victim()
        with BadDisk(cluster.members[id], "error=EIO"):
            eventually(lambda: has_stopped(id), f"{name}, node {id}, stops when its only disk fails", 90)
        work.goes_on(f"without {name}")
        cluster.launch(id)
        work.whole(f"after the disk of {name} failed")
    work.finish(it)
    cluster.stop()
