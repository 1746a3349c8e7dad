"""Partitions by the thousand: how soon they are created, how soon they are back, and what they cost while nobody uses them."""

import time

from harness import frames, nodes, procs
from harness.case import case, expect

# These find what grows with the square of something, or waits for a time-out; how fast it is, the bench tells.
CREATE_1000_MS_LIMIT = 10_000
BACK_AFTER_STOP_MS_LIMIT, BACK_AFTER_KILL_MS_LIMIT = 10_000, 20_000
KB_PER_PARTITION_LIMIT = 20
IDLE_CPU_LIMIT = 0.02


def create(node, count, prefix="many", each=1000):
    """Creates `count` partitions, `each` in a topic and request; gives the milliseconds of the slowest request."""
    slowest = 0
    with frames.Connection(node.address, timeout=120) as connection:
        for number in range(0, count, each):
            began = time.monotonic()
            connection.ask(frames.create_topics(f"{prefix}-{number:06}", min(each, count - number)))
            slowest = max(slowest, 1000 * (time.monotonic() - began))
    return slowest


def write_to_some(node, topics, records=3):
    """One batch into the first partitions of some topics, so that not every log is empty."""
    raw = frames.batch([(b"key", b"value")] * records)
    with frames.Connection(node.address) as connection:
        for topic in topics:
            for partition in range(20):
                connection.ask(frames.produce(topic, partition, raw))


def back_ms(it, home):
    """From the start of the process to the first answer that lists the node, and the node."""
    began = time.monotonic()
    node = it.target.start(home, wait=False)
    nodes.wait_ready(node)
    return node, 1000 * (time.monotonic() - began)


def idle_cpu(node, seconds=10):
    """The share of a core that the node takes while nobody asks anything."""
    before = procs.cpu_seconds(node.pid)
    time.sleep(seconds)
    return (procs.cpu_seconds(node.pid) - before) / seconds


def judge(node, value, limit, what):
    """A Java machine is only measured."""
    expect(node.is_java or value <= limit, f"{what}: {value:.2f}, the limit is {limit}")


def measure(it, count):
    home = it.home / "node"
    node, _ = back_ms(it, home)
    before = procs.rss_kb(node.pid)
    slowest = create(node, count)
    write_to_some(node, [f"many-{number:06}" for number in range(0, count, 1000)][:50])
    per_partition = (procs.rss_kb(node.pid) - before) / count
    cpu = idle_cpu(node)
    files = procs.open_files(node.pid)
    node.stop()
    node, after_stop = back_ms(it, home)
    rss = procs.rss_kb(node.pid) / 1024
    node.kill()
    node, after_kill = back_ms(it, home)
    node.stop()
    it.note(
        f"{count} partitions: 1,000 created in {slowest:.0f} ms at most, {per_partition:.1f} kB each, {rss:.0f} MiB after a start, "
        f"{files} open files, {100 * cpu:.1f}% of a core idle, back {after_stop:.0f} ms after a stop and {after_kill:.0f} ms after a kill"
    )
    judge(node, slowest, CREATE_1000_MS_LIMIT, "ms for 1,000 partitions")
    judge(node, per_partition, KB_PER_PARTITION_LIMIT, "kB for each partition")
    judge(node, cpu, IDLE_CPU_LIMIT, "share of a core while idle")
    return node, after_stop, after_kill, rss


@case("partitions/10000", own_node=True, slow=True)
def ten_thousand(it):
    node, after_stop, after_kill, _ = measure(it, 10_000)
    judge(node, after_stop, BACK_AFTER_STOP_MS_LIMIT, "ms until the node is back after a stop")
    judge(node, after_kill, BACK_AFTER_KILL_MS_LIMIT, "ms until the node is back after a kill")


@case("partitions/100000", own_node=True, slow=True, seconds=1800)
def hundred_thousand(it):
    node, _, _, rss = measure(it, 100_000)
    judge(node, rss, 2048, "MiB with 100,000 partitions")
