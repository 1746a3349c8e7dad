"""A member of a consumer group in a process of its own, so that it can be killed. It is a program, no case:

    python member.py LIBRARY HOST:PORT GROUP TOPIC [KEY=VALUE...]

It prints one line for each thing that happens: `assigned 0,2`, `revoked 0`, `record PARTITION OFFSET VALUE`. What it has read
it commits when partitions are taken from it and when it ends, which it does on SIGTERM.
"""

import signal
import sys

STOP = []


def say(word, *rest):
    """One event."""
    print(word, *rest, flush=True)


def parts(partitions):
    """Partition numbers between commas, in order."""
    return ",".join(map(str, sorted(each.partition for each in partitions)))


def confluent(bootstrap, group, topic, config):
    """confluent-kafka, on librdkafka."""
    from confluent_kafka import Consumer, KafkaError, KafkaException

    def assigned(consumer, partitions):
        say("assigned", parts(partitions))

    def revoked(consumer, partitions):
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as why:
            if why.args[0].code() != KafkaError._NO_OFFSET:
                say("uncommitted", why.args[0].name())
        say("revoked", parts(partitions))

    base = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    if config.get("group.protocol", "classic") == "classic":
        base |= {"session.timeout.ms": 12000, "heartbeat.interval.ms": 500}
    consumer = Consumer(base | {"reconnect.backoff.max.ms": 300} | config)
    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=lambda _, lost: say("lost", parts(lost)))
    while not STOP:
        for message in consumer.consume(500, 0.1):
            if message.error() is None:
                say("record", message.partition(), message.offset(), message.value().decode())
            elif message.error().code() != KafkaError._PARTITION_EOF:
                say("error", message.error().name())
    consumer.close()


def kafka_python(bootstrap, group, topic, config):
    """kafka-python. It lets nobody commit in a listener: it commits by itself when it loses partitions."""
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.coordinator.assignors.range import RangePartitionAssignor

    config = {key.replace(".", "_"): int(value) if value.isdigit() else value for key, value in config.items()}
    base = {"session_timeout_ms": 12000, "heartbeat_interval_ms": 500, "partition_assignment_strategy": [RangePartitionAssignor]}
    base |= {"auto_offset_reset": "earliest", "enable_auto_commit": True, "max_poll_records": 500}
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, **(base | config))

    class Listener(ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            say("assigned", parts(assigned))

        def on_partitions_revoked(self, revoked):
            say("revoked", parts(revoked))

    consumer.subscribe([topic], listener=Listener())
    while not STOP:
        for batch in consumer.poll(timeout_ms=100).values():
            for record in batch:
                say("record", record.partition, record.offset, record.value.decode())
    consumer.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: STOP.append(True))
    library, *where = sys.argv[1:5]
    settings = dict(pair.split("=", 1) for pair in sys.argv[5:])
    {"confluent": confluent, "kafka-python": kafka_python}[library](*where, settings)
    say("ended")
