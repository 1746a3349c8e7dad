"""A producer or a consumer of interop/soak on a Python library: works until its standard input ends.

    python -m harness.soak_worker LIBRARY produce|consume BOOTSTRAP TOPIC FILE

It writes a line for each record that was acknowledged or consumed: partition, offset, value.
"""

import sys
import threading
import time

PARTITIONS = 4
PER_SECOND = 400


def value_of(number):
    """A record's value: its number, and as many bytes as make it one of many sizes."""
    return b"%d-%s" % (number, b"x" * (number * 37 % 900))


def paced(ended):
    """Numbers, `PER_SECOND` of them a second, until `ended`."""
    began, number = time.monotonic(), 0
    while not ended.is_set():
        if number < (time.monotonic() - began) * PER_SECOND:
            yield number
            number += 1
        else:
            time.sleep(0.002)


def produce_confluent(bootstrap, topic, note, ended):
    from confluent_kafka import Producer

    config = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 200_000}
    config |= {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "log_level": 3}
    producer = Producer(config)

    def report(error, message):
        if error is None:
            note(message.partition(), message.offset(), message.value())
        else:
            print(error, flush=True)

    for number in paced(ended):
        try:
            producer.produce(topic, value_of(number), partition=number % PARTITIONS, on_delivery=report)
        except BufferError:
            producer.poll(0.1)
        producer.poll(0)
    producer.flush(200)


def consume_confluent(bootstrap, topic, note, ended):
    from confluent_kafka import Consumer

    config = {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest", "session.timeout.ms": 10_000}
    config |= {"reconnect.backoff.max.ms": 200, "auto.commit.interval.ms": 1000, "log_level": 3}
    consumer = Consumer(config)
    consumer.subscribe([topic])
    while not ended.is_set():
        for message in consumer.consume(1000, 0.3):
            if message.error() is None:
                note(message.partition(), message.offset(), message.value())


def produce_kafka_python(bootstrap, topic, note, ended):
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=bootstrap, acks="all", linger_ms=5, retries=10_000, retry_backoff_ms=50,
        delivery_timeout_ms=200_000, request_timeout_ms=10_000, max_block_ms=200_000, reconnect_backoff_max_ms=300,
    )  # fmt: skip
    for number in paced(ended):
        value = value_of(number)
        future = producer.send(topic, value, partition=number % PARTITIONS)
        future.add_callback(lambda made, value=value: note(made.partition, made.offset, value))
        future.add_errback(lambda error: print(error, flush=True))
    producer.flush(200)


def consume_kafka_python(bootstrap, topic, note, ended):
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=topic, auto_offset_reset="earliest", session_timeout_ms=10_000,
        auto_commit_interval_ms=1000, reconnect_backoff_max_ms=300,
    )  # fmt: skip
    while not ended.is_set():
        try:
            for batch in consumer.poll(timeout_ms=300).values():
                for record in batch:
                    note(record.partition, record.offset, record.value)
        except KafkaError as error:
            print(repr(error), flush=True)
            time.sleep(0.3)


def main():
    library, mode, bootstrap, topic, path = sys.argv[1:]
    ended, lock = threading.Event(), threading.Lock()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with open(path, "wb", buffering=0) as file:

        def note(partition, offset, value):
            with lock:
                file.write(b"%d %d %s\n" % (partition, offset, value))

        work = globals()[f"{mode}_{library.replace('-', '_')}"]
        work(bootstrap, topic, note, ended)


if __name__ == "__main__":
    main()
