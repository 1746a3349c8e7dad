"""A steady load whose every acknowledgement is remembered, and what must be read back after it. No cases here."""

import threading
import time

from confluent_kafka import Producer

from harness.case import equal, expect

from .b_confluent import read_all

PARTITIONS = 3


class Load(threading.Thread):
    """Produces numbered records to three partitions until it is told to stop, through restarts of the node."""

    def __init__(self, bootstrap, topic, idempotent, rate=4000):
        super().__init__(daemon=True)
        self.topic, self.idempotent, self.rate = topic, idempotent, rate
        config = {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 2, "message.timeout.ms": 240_000}
        config |= {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20, "log_level": 2}
        # A node that is cut off says nothing: what it was asked is asked again of another after this time.
        config |= {"socket.timeout.ms": 10_000, "socket.connection.setup.timeout.ms": 3_000}
        config |= {"enable.idempotence": True} if idempotent else {"max.in.flight.requests.per.connection": 1}
        self.producer = Producer(config)
        self.sent = [0] * PARTITIONS
        self.acknowledged = [{} for _ in range(PARTITIONS)]
        self.errors = []
        # The seconds that an acknowledgement took at most.
        self.slowest = 0.0
        self.ended = threading.Event()
        self.start()

    def run(self):
        began, count = time.monotonic(), 0
        while not self.ended.is_set():
            due = int((time.monotonic() - began) * self.rate)
            while count < due and not self.ended.is_set():
                count += self._send(count % PARTITIONS)
            self.producer.poll(0.01)

    def _send(self, partition):
        number = self.sent[partition]
        try:
            self.producer.produce(self.topic, b"%d %s" % (number, b"x" * (number % 500)), partition=partition, on_delivery=self._report(partition, number))
        except BufferError:
            self.producer.poll(0.05)
            return 0
        self.sent[partition] += 1
        return 1

    def _report(self, partition, number):
        began = time.monotonic()

        def report(error, message):
            self.slowest = max(self.slowest, time.monotonic() - began)
            if error is None:
                self.acknowledged[partition][number] = message.offset()
            else:
                self.errors.append(str(error))

        return report

    def count(self):
        """How many records have been acknowledged."""
        return sum(map(len, self.acknowledged))

    def finish(self):
        """Stops producing and waits until every record is acknowledged."""
        self.ended.set()
        self.join(300)
        left = self.producer.flush(120)
        equal((left, self.errors[:3]), (0, []), f"{self.topic}: records that were not delivered, and errors")

    def check(self, bootstrap):
        """Reads everything back: in order, nothing acknowledged is missing or elsewhere, and no doubles if idempotent."""
        records = read_all(bootstrap, self.topic, PARTITIONS, seconds=120)
        for partition in range(PARTITIONS):
            what = f"{self.topic} partition {partition}"
            rows = [(message.offset(), int(message.value().split(b" ")[0])) for message in records if message.partition() == partition]
            equal([offset for offset, _ in rows], list(range(len(rows))), f"{what}: offsets")
            numbers = [number for _, number in rows]
            if not self.idempotent:
                numbers = list(dict.fromkeys(numbers))
            equal(numbers, list(range(self.sent[partition])), f"{what}: records")
            at = dict(rows)
            wrong = [(number, offset) for number, offset in self.acknowledged[partition].items() if at.get(offset) != number]
            expect(not wrong, f"{what}: acknowledged at an offset that holds another record: {wrong[:5]}")
            equal(len(self.acknowledged[partition]), self.sent[partition], f"{what}: acknowledgements")
