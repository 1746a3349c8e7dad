"""A member of a share group in a process of its own, so that it can be killed. It is a program, no case:

    python share_member.py HOST:PORT GROUP TOPIC FILE

It appends a line to FILE for each thing that happens to a record, before or after it happens: `got VALUE`, `sends VALUE` before the
acceptance leaves, `accepted VALUE` once the commit has succeeded, `failed VALUE WHY` if the commit says so. It ends on SIGTERM.
"""

import os
import signal
import sys
import time

from confluent_kafka import KafkaException, ShareConsumer

STOP = []


def main(bootstrap, group, topic, file):
    """Takes records until it is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: STOP.append(True))
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(word, values, why=""):
        at = time.time()
        os.write(out, "".join(f"{at:.3f} {word} {value} {why}\n" for value in values).encode())

    settings = {"bootstrap.servers": bootstrap, "group.id": group, "share.acknowledgement.mode": "explicit"}
    consumer = ShareConsumer({**settings, "log_level": 0, "error_cb": lambda error: None})
    consumer.subscribe([topic])
    while not STOP:
        messages = [message for message in consumer.poll(0.5) if message.error() is None]
        of = {}
        for message in messages:
            of.setdefault((message.topic(), message.partition()), []).append(message.value().decode())
            consumer.acknowledge(message)
        values = [value for values in of.values() for value in values]
        say("got", values)
        # Work takes time: so members are killed while they hold records.
        time.sleep(0.02)
        say("sends", values)
        try:
            results = consumer.commit_sync(30) if messages else {}
        except KafkaException as raised:
            say("failed", values, raised.args[0].name())
            continue
        told = {(partition.topic, partition.partition): error for partition, error in results.items()}
        for partition, values in of.items():
            error = told.get(partition, "untold")
            say("accepted" if error is None else "failed", values, "" if error is None else str(error).replace("\n", " "))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
