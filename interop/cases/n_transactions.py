"""Transactions: what is committed is read once and whole, what is not is not read; clients, tools, fencing, time and kills."""

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from cases.b_confluent import read_all
from harness import nodes
from harness.case import case, contains, equal, eventually, expect

WAIT = 60


def producer_of(bootstrap, identity, **config):
    """A transactional producer that has begun."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": identity, "linger.ms": 0, **settings})
    producer.init_transactions(WAIT)
    return producer


def write(producer, topic, values, partitions=1):
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % partitions)
    producer.flush(WAIT)


def commit_and_leave_open(producer, topic, number):
    """Commits one transaction to both partitions, which it returns the values of, and leaves another open."""
    kept = [f"{number}-kept-{part}" for part in range(4)]
    producer.begin_transaction()
    write(producer, topic, kept, 2)
    producer.commit_transaction(WAIT)
    producer.begin_transaction()
    write(producer, topic, [f"{number}-lost-{part}" for part in range(4)], 2)
    return kept


def values_of(bootstrap, topic, partitions=1, isolation="read_committed"):
    records = read_all(bootstrap, topic, partitions, isolation_level=isolation)
    return sorted(message.value().decode() for message in records)


def end_of(bootstrap, topic, level):
    """Where a reader stops."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    part = TopicPartition(topic, 0)
    return admin.list_offsets({part: OffsetSpec.latest()}, isolation_level=level)[part].result(WAIT).offset


def refused(call, code):
    try:
        call()
    except KafkaException as e:
        equal(e.args[0].code(), code, "the error")
        return e.args[0]
    raise AssertionError("nothing was refused")


@case("transactions/confluent/commit_and_abort")
def commit_and_abort(it):
    topic = it.topic(partitions=3)
    producer = producer_of(it.bootstrap, it.new_name("id"))
    wanted = []
    for number in range(12):
        producer.begin_transaction()
        values = [f"{number:02}-{part}" for part in range(6)]
        write(producer, topic, values, 3)
        if number % 3 == 1:
            producer.abort_transaction(WAIT)
        else:
            producer.commit_transaction(WAIT)
            wanted += values
    equal(values_of(it.bootstrap, topic, 3), sorted(wanted), "what is committed")
    equal(len(values_of(it.bootstrap, topic, 3, "read_uncommitted")), 72, "everything")


@case("transactions/confluent/open_ones_are_not_read")
def open_ones(it):
    topic = it.topic()
    one, other = (producer_of(it.bootstrap, it.new_name("id")) for _ in range(2))
    one.begin_transaction()
    write(one, topic, ["one"])
    other.begin_transaction()
    write(other, topic, ["other"])
    other.commit_transaction(WAIT)
    equal(end_of(it.bootstrap, topic, IsolationLevel.READ_COMMITTED), 0, "the last stable offset")
    equal(end_of(it.bootstrap, topic, IsolationLevel.READ_UNCOMMITTED), 3, "the high watermark")
    one.abort_transaction(WAIT)
    equal(values_of(it.bootstrap, topic), ["other"], "what is committed")
    eventually(lambda: end_of(it.bootstrap, topic, IsolationLevel.READ_COMMITTED) == 4, "the last stable offset is 4")


@case("transactions/confluent/offsets_count_with_their_transaction")
def offsets(it):
    source, group = it.topic(), it.new_name("group")
    plain = Producer({"bootstrap.servers": it.bootstrap})
    write(plain, source, [str(number) for number in range(10)])
    consumer = Consumer({"bootstrap.servers": it.bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([source])
    read = []
    eventually(lambda: read.extend(consumer.consume(10, 0.5)) or len(read) >= 10, "ten records are read")
    producer = producer_of(it.bootstrap, it.new_name("id"))
    part = TopicPartition(source, 0)

    def committed():
        return consumer.committed([part], WAIT)[0].offset

    def send(offset, end):
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(source, 0, offset)], consumer.consumer_group_metadata(), WAIT)
        end(WAIT)

    send(4, producer.commit_transaction)
    equal(committed(), 4, "the offset of a committed transaction")
    send(9, producer.abort_transaction)
    equal(committed(), 4, "the offset after an aborted transaction")
    consumer.close()


@case("transactions/confluent/a_younger_producer_fences_the_older_one")
def fencing(it):
    topic, identity = it.topic(), it.new_name("id")
    old = producer_of(it.bootstrap, identity)
    old.begin_transaction()
    write(old, topic, ["old"])
    young = producer_of(it.bootstrap, identity)
    young.begin_transaction()
    write(young, topic, ["young"])
    young.commit_transaction(WAIT)
    error = refused(lambda: old.commit_transaction(WAIT), KafkaError._FENCED)
    expect(error.fatal(), "the error is fatal")
    equal(values_of(it.bootstrap, topic), ["young"], "what is committed")


@case("transactions/confluent/what_lasts_too_long_is_aborted", own_node=True)
def timeout(it):
    node = it.ephemeral("transaction.abort.timed.out.transaction.cleanup.interval.ms=200")
    it.use(node)
    topic = it.topic()
    producer = producer_of(it.bootstrap, it.new_name("id"), transaction_timeout_ms=1000, message_timeout_ms=1000)
    producer.begin_transaction()
    write(producer, topic, ["late"])
    eventually(lambda: end_of(it.bootstrap, topic, IsolationLevel.READ_COMMITTED) == 2, "the last stable offset is 2")
    equal(values_of(it.bootstrap, topic), [], "what is committed")
    try:
        producer.commit_transaction(WAIT)
        raise AssertionError("a transaction was committed that was aborted")
    except KafkaException as e:
        expect(e.args[0].fatal() or e.args[0].txn_requires_abort(), f"the producer is told: {e}")


@case("transactions/confluent/kill_9_in_the_middle", own_node=True)
def kill(it):
    """What was committed stays so, what was open is aborted by the producer that comes next, through ten kills."""
    node = it.start()
    it.use(node)
    topic, wanted = it.topic(partitions=2), []
    identity = it.new_name("id")
    for number in range(10):
        producer = producer_of(it.bootstrap, identity)
        wanted += commit_and_leave_open(producer, topic, number)
        node.kill()
        node = it.start()
        it.use(node)
        del producer
    last = producer_of(it.bootstrap, identity)
    equal(values_of(it.bootstrap, topic, 2), sorted(wanted), "what is committed")
    del last


@case("transactions/java/tools_show_and_abort")
def tools(it):
    topic, identity = it.topic(), it.new_name("id")
    producer = producer_of(it.bootstrap, identity)
    producer.begin_transaction()
    write(producer, topic, ["open"])
    run = lambda *arguments: it.java("kafka-transactions.sh", "--bootstrap-server", it.bootstrap, *arguments)
    contains(run("list"), identity, "the list")
    contains(run("list", "--transactional-id-pattern", identity[:-1] + "."), identity, "the list by pattern")
    described = run("describe", "--transactional-id", identity)
    contains(described, "Ongoing", "the description")
    contains(described, f"{topic}-0", "the description")
    producers = run("describe-producers", "--topic", topic, "--partition", "0")
    contains(producers, "CurrentTransactionStartOffset", "the producers")
    run("abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
    equal(end_of(it.bootstrap, topic, IsolationLevel.READ_COMMITTED), 2, "the last stable offset")
    equal(values_of(it.bootstrap, topic), [], "what is committed")


@case("transactions/java/the_newest_protocol", slow=True)
def performance(it):
    """Kafka's own producer at its newest protocol: every transaction has an epoch of its own."""
    topic = it.topic(partitions=4)
    out = it.java(
        "kafka-producer-perf-test.sh", "--bootstrap-server", it.bootstrap, "--topic", topic, "--num-records", "5000", "--record-size", "100",
        "--throughput", "-1", "--transactional-id", it.new_name("id"), "--transaction-duration-ms", "20",
    )  # fmt: skip
    contains(out, "5000 records sent", "the summary")
    equal(len(values_of(it.bootstrap, topic, 4)), 5000, "what is committed")


@case("transactions/java/a_directory_moves_with_open_ones", own_node=True, slow=True, seconds=600)
def moves(it):
    """From Apache Kafka to Thalweg and back, with a kill -9 each time: what was committed stays, what was open goes on or is aborted."""
    home, identity = it.home / "node", "mover"
    kafka, thalweg = nodes.Kafka(), nodes.Thalweg()
    node, wanted, topic = kafka.start(home), [], "moved"
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(60)
    for number, following in enumerate([thalweg, kafka, thalweg]):
        producer = producer_of(node.bootstrap, identity)
        wanted += commit_and_leave_open(producer, topic, number)
        node.kill()
        node = following.start(home)
        described = it.java("kafka-transactions.sh", "--bootstrap-server", node.bootstrap, "describe", "--transactional-id", identity)
        contains(described, "Ongoing", "the description")
        contains(described, f"{topic}-0", "the description")
        del producer
    producer_of(node.bootstrap, identity)
    equal(values_of(node.bootstrap, topic, 2), sorted(wanted), "what is committed")
    node.stop()
