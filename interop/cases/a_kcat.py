"""kcat 1.7.1 of Debian, on librdkafka 2.0.2."""

import json
import time

from harness.case import case, contains, equal, eventually, expect

NUMBERS = [f"line {number}" for number in range(2000)]


def kcat(it, *arguments, **options):
    """Runs kcat against the case's node."""
    return it.command("kcat", "-b", it.bootstrap, "-q", *arguments, **options)


def produce(it, topic, lines, *arguments, **options):
    """Produces one record a line."""
    return kcat(it, "-P", "-t", topic, *arguments, stdin="".join(line + "\n" for line in lines), **options)


def consume(it, topic, *arguments):
    """Consumes until the end of every partition; the lines of the output."""
    return kcat(it, "-C", "-t", topic, "-e", *arguments).splitlines()


@case("kcat/metadata_lists_brokers_topics_and_partitions")
def metadata(it):
    topic = it.topic(partitions=20)
    listed = json.loads(kcat(it, "-L", "-J"))
    equal([broker["name"] for broker in listed["brokers"]], [it.bootstrap], "brokers")
    row = next(each for each in listed["topics"] if each["topic"] == topic)
    node = listed["brokers"][0]["id"]
    wanted = [{"partition": p, "leader": node, "replicas": [{"id": node}], "isrs": [{"id": node}]} for p in range(20)]
    equal(sorted(row["partitions"], key=lambda part: part["partition"]), wanted, "partitions")
    contains(kcat(it, "-L", "-t", topic), f'topic "{topic}" with 20 partitions', "the listing for people")


@case("kcat/first_produce_creates_the_topic")
def auto_creation(it):
    topic = it.new_name()
    produce(it, topic, ["hello", "world"])
    equal(consume(it, topic), ["hello", "world"], "records")


@case("kcat/keys_headers_and_nulls")
def keys_and_headers(it):
    topic = it.topic()
    produce(it, topic, ["k1:v1", ":empty key", "k3:"], "-K", ":", "-H", "colour=blue", "-H", "colour=red", "-H", "nothing")
    produce(it, topic, ["gone:"], "-K", ":", "-Z")
    got = consume(it, topic, "-f", "%o|%K|%k|%S|%s|%h\n")
    headers = "colour=blue,colour=red,nothing=NULL"
    wanted = [f"0|2|k1|2|v1|{headers}", f"1|0||9|empty key|{headers}", f"2|2|k3|0||{headers}", "3|4|gone|-1||"]
    equal(got, wanted, "offset, key, value and headers")


def compression(codec):
    """One codec, written and read back, with a look at the sizes."""

    def check(it):
        topic = it.topic()
        produce(it, topic, NUMBERS, "-z", codec, "-X", "linger.ms=50")
        equal(consume(it, topic), NUMBERS, f"records compressed with {codec}")
        equal(consume(it, topic, "-o", "1500"), NUMBERS[1500:], "from the middle of a batch")

    return check


for name in ("gzip", "snappy", "lz4", "zstd"):
    case(f"kcat/compression_{name}")(compression(name))


@case("kcat/twenty_partitions")
def twenty_partitions(it):
    topic = it.topic(partitions=20)
    for partition in range(20):
        produce(it, topic, [f"{partition}-{n}" for n in range(50)], "-p", partition)
    equal(consume(it, topic, "-p", 7), [f"7-{n}" for n in range(50)], "partition 7")
    got = sorted(consume(it, topic, "-f", "%p %o %s\n"))
    equal(got, sorted(f"{p} {n} {p}-{n}" for p in range(20) for n in range(50)), "all partitions")
    spread = [f"key{n}:{n}" for n in range(500)]
    keyed = it.topic(partitions=20, word="keyed")
    produce(it, keyed, spread, "-K", ":")
    rows = [line.split(" ") for line in consume(it, keyed, "-f", "%p %k %s\n")]
    equal(sorted(int(value) for _, _, value in rows), list(range(500)), "keyed records")
    expect(len({partition for partition, _, _ in rows}) == 20, "500 keys reach all 20 partitions")


@case("kcat/consumes_from_an_offset_or_the_tail")
def offsets(it):
    topic = it.topic()
    produce(it, topic, NUMBERS[:100])
    equal(consume(it, topic, "-o", "40", "-c", "3"), NUMBERS[40:43], "-o 40 -c 3")
    equal(consume(it, topic, "-o", "-5"), NUMBERS[95:100], "-o -5")
    equal(consume(it, topic, "-o", "beginning"), NUMBERS[:100], "-o beginning")
    equal(consume(it, topic, "-o", "end"), [], "-o end")


def two_times(it, topic):
    """Two runs of records that no millisecond shares; the first timestamp of the second run."""
    produce(it, topic, NUMBERS[:10])
    first = [int(line) for line in consume(it, topic, "-f", "%T\n")]
    while time.time() * 1000 <= max(first) + 1:
        time.sleep(0.001)
    produce(it, topic, NUMBERS[10:20])
    second = [int(line) for line in consume(it, topic, "-o", "10", "-f", "%T\n")]
    expect(max(first) < min(second), f"timestamps grow from {first} to {second}")
    return min(second)


@case("kcat/consumes_from_a_timestamp")
def timestamps(it):
    topic = it.topic()
    between = two_times(it, topic)
    equal(consume(it, topic, "-o", f"s@{between}"), NUMBERS[10:20], "from the timestamp")
    equal(kcat(it, "-C", "-t", topic, "-o", "s@1", "-o", f"e@{between}").splitlines(), NUMBERS[:10], "up to the timestamp")


@case("kcat/queries_offsets_by_timestamp")
def query(it):
    topic = it.topic()
    between = two_times(it, topic)

    def at(timestamp):
        return kcat(it, "-Q", "-t", f"{topic}:0:{timestamp}").strip()

    equal(at(-1), f"{topic} [0] offset 20", "latest")
    equal(at(-2), f"{topic} [0] offset 0", "earliest")
    equal(at(between), f"{topic} [0] offset 10", "the second run")
    equal(at(between - 1), f"{topic} [0] offset 10", "just before the second run")
    equal(at(4102444800000), f"{topic} [0] offset -1", "the future")


@case("kcat/records_of_one_byte_and_of_one_megabyte")
def sizes(it):
    topic = it.topic()
    small, large = it.home / "small", it.home / "large"
    small.write_bytes(b"x")
    large.write_bytes(b"y" * 1_000_000)
    room = ("-X", "message.max.bytes=1048588")
    for file in (small, large, small, large):
        kcat(it, "-P", "-t", topic, *room, file)
    sums = consume(it, topic, "-f", "%o %S\n")
    equal(sums, ["0 1", "1 1000000", "2 1", "3 1000000"], "sizes")
    equal(kcat(it, "-C", "-t", topic, "-o", "1", "-c", "1", "-e", "-D", ""), "y" * 1_000_000, "the large record")
    many = [f"{n % 10}" for n in range(5000)]
    produce(it, topic, many)
    equal(consume(it, topic, "-o", "4"), many, "records of one byte")


@case("kcat/refuses_a_record_that_is_too_large")
def too_large(it):
    topic = it.topic(max_message_bytes=2000)
    large = it.home / "large"
    large.write_bytes(b"z" * 5000)
    it.command("kcat", "-b", it.bootstrap, "-P", "-t", topic, large, code=None)
    contains(it.stderr, "Message size too large", "the error")
    equal(consume(it, topic), [], "nothing was kept")


@case("kcat/idempotent_and_every_acks")
def acks(it):
    topic = it.topic()
    produce(it, topic, NUMBERS[:500], "-X", "enable.idempotence=true")
    produce(it, topic, NUMBERS[500:1000], "-X", "acks=1")
    produce(it, topic, NUMBERS[1000:1500], "-X", "acks=0")
    eventually(lambda: len(consume(it, topic)) >= 1500, "records sent with acks=0 arrive")
    produce(it, topic, NUMBERS[1500:], "-X", "acks=all")
    equal(consume(it, topic), NUMBERS, "records")


@case("kcat/tells_of_an_unknown_partition")
def unknown_partition(it):
    topic = it.topic()
    kcat(it, "-C", "-t", topic, "-p", 5, "-e", code=1)
    contains(it.stderr, "partition 5 does not exist", "the error")


@case("kcat/waits_at_the_end_for_what_comes")
def tail(it):
    """A parked fetch is answered by the produce that it waits for."""
    import subprocess

    topic = it.topic()
    produce(it, topic, ["before"])
    reader = subprocess.Popen(
        ["kcat", "-b", it.bootstrap, "-q", "-u", "-C", "-t", topic, "-o", "0", "-c", "2", "-X", "fetch.wait.max.ms=200000", "-X", "socket.timeout.ms=300000"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    equal(reader.stdout.readline(), "before\n", "what was there")
    time.sleep(0.5)
    began = time.monotonic()
    produce(it, topic, ["after"])
    equal(reader.stdout.readline(), "after\n", "what came")
    expect(time.monotonic() - began < 120, "the waiting fetch was answered soon, not after its 200 s")
    equal(reader.wait(120), 0, "kcat ends after two records")
