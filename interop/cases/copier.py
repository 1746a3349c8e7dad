"""A transactional copier: reads records and writes them to another topic, each exactly once, through failures. No cases here."""

import os
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness.case import equal, eventually

from .b_confluent import read_all

BATCH = 200
PATIENCE = 30
# librdkafka 2.16 hangs in send_offsets_to_transaction when the group's coordinator has left the metadata (its issues 5456 and 5511),
# until a connection of it changes its state: an idle one does after this time.
IDLE_MS = 5000


class Copier(threading.Thread):
    """Copies `source` to `target`, partition by partition, in transactions that commit the offsets read, until it is told to stop."""

    def __init__(self, bootstrap, source, target, identity):
        super().__init__(daemon=True)
        self.bootstrap, self.source, self.target, self.identity = bootstrap, source, target, identity
        self.copied, self.commits, self.aborts, self.restarts, self.failure = 0, 0, 0, 0, None
        self.slowest = 0.0
        self.notes = []
        self.ended = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.ended.is_set():
                self._copy_until_it_breaks()
        except Exception as e:
            self.failure = repr(e)
            raise

    def _copy_until_it_breaks(self):
        common = {"bootstrap.servers": self.bootstrap, "socket.timeout.ms": 10_000, "socket.connection.setup.timeout.ms": 3_000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": int(os.environ.get("COPIER_LOG", 0))}
        common |= {"debug": os.environ["COPIER_DEBUG"]} if "COPIER_DEBUG" in os.environ else {}
        consumer = Consumer(common | {"group.id": self.identity, "auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": "read_committed", "session.timeout.ms": 6000})
        producer = Producer(common | {"transactional.id": self.identity, "linger.ms": 1, "connections.max.idle.ms": IDLE_MS, "transaction.timeout.ms": 30_000})
        consumer.subscribe([self.source])
        try:
            producer.init_transactions(PATIENCE)
            while not self.ended.is_set():
                self._copy_some(consumer, producer)
        except KafkaException as e:
            self._note("restarts", e)
            if e.args[0].fatal() or e.args[0].txn_requires_abort() or e.args[0].retriable():
                self.restarts += 1
            else:
                raise
        finally:
            consumer.close()

    def _copy_some(self, consumer, producer):
        records = [record for record in consumer.consume(BATCH, 0.2) if record.error() is None]
        if not records:
            return
        began = time.monotonic()
        producer.begin_transaction()
        try:
            for record in records:
                producer.produce(self.target, record.value(), partition=record.partition())
            ends = {record.partition(): record.offset() + 1 for record in records}
            offsets = [TopicPartition(self.source, partition, offset) for partition, offset in ends.items()]
            self._retried(lambda: producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), PATIENCE))
            self._retried(lambda: producer.commit_transaction(PATIENCE))
            self.commits += 1
            self.copied += len(records)
            self.slowest = max(self.slowest, time.monotonic() - began)
        except KafkaException as e:
            self._note("aborts", e)
            if not e.args[0].txn_requires_abort():
                raise
            self.aborts += 1
            self._retried(lambda: producer.abort_transaction(PATIENCE))
            starts = {}
            for record in records:
                starts.setdefault(record.partition(), record.offset())
            for partition, offset in starts.items():
                consumer.seek(TopicPartition(self.source, partition, offset))

    def _retried(self, call):
        for _ in range(6):
            try:
                return call()
            except KafkaException as e:
                self._note("retries", e)
                if not e.args[0].retriable():
                    raise
        return call()

    def _note(self, what, error):
        self.notes.append(f"{time.strftime('%H:%M:%S')} {what} after {error}")

    def finish(self, count, seconds=180):
        """Waits until `count` records are copied, and stops."""
        eventually(lambda: self.failure or self.copied >= count, f"{count} records are copied, not {self.copied}", seconds)
        self.ended.set()
        self.join(120)
        equal(self.failure, None, "what ended the copier")

    def check(self, sent):
        """Reads what was copied: of each partition every record once, in order. `sent[partition]` were to be copied."""
        rows = read_all(self.bootstrap, self.target, len(sent), isolation_level="read_committed", seconds=120)
        for partition, count in enumerate(sent):
            numbers = [int(row.value().split(b" ")[0]) for row in rows if row.partition() == partition]
            equal(numbers, list(range(count)), f"{self.target} partition {partition}: copied records")
