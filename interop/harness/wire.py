"""Just enough of the answers of a node to see what a disk fault did to it: old versions, without flexible encoding."""

import struct

from . import frames

DELETE_RECORDS, ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS = 21, 34, 35


class Reader:
    """Takes an answer apart from its beginning."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        (value,) = struct.unpack_from(">" + form, self.raw, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def i16(self):
        return self.take("h")

    def i32(self):
        return self.take("i")

    def i64(self):
        return self.take("q")

    def bytes(self, length):
        self.at += max(length, 0)
        return self.raw[self.at - max(length, 0) : self.at]

    def string(self):
        return self.bytes(self.i16()).decode()

    def array(self, item):
        return [item() for _ in range(max(self.i32(), 0))]


def string(text):
    return frames.i16(len(text)) + text.encode()


def array(*items):
    return frames.i32(len(items)) + b"".join(items)


def create_topic(connection, name, **configs):
    """Creates a topic of one partition; gives the error."""
    rows = [string(key.replace("_", ".")) + string(str(value)) for key, value in configs.items()]
    row = string(name) + frames.i32(1) + frames.i16(1) + array() + array(*rows)
    got = Reader(connection.ask(frames.request(frames.CREATE_TOPICS, 4, array(row) + frames.i32(20000) + b"\0")))
    got.i32(), got.i32(), got.string()
    return got.i16()


def produce(connection, topic, batch, timeout=5000):
    """Error and base offset."""
    row = string(topic) + array(frames.i32(0) + frames.i32(len(batch)) + batch)
    body = frames.i16(-1) + frames.i16(-1) + frames.i32(timeout) + array(row)
    got = Reader(connection.ask(frames.request(frames.PRODUCE, 7, body)))
    got.i32(), got.string(), got.i32(), got.i32()
    return got.i16(), got.i64()


def fetch(connection, topic, offset, bytes_max=1 << 20):
    """Error, high watermark, log start and records."""
    partition = frames.i32(0) + frames.i32(-1) + frames.i64(offset) + frames.i64(-1) + frames.i32(bytes_max)
    body = frames.i32(-1) + frames.i32(0) + frames.i32(1) + frames.i32(bytes_max) + b"\0" + frames.i32(0) + frames.i32(-1)
    body += array(string(topic) + array(partition)) + array() + string("")
    got = Reader(connection.ask(frames.request(frames.FETCH, 11, body)))
    got.i32(), got.i16(), got.i32(), got.i32(), got.string(), got.i32(), got.i32()
    error, high_watermark, _, log_start = got.i16(), got.i64(), got.i64(), got.i64()
    got.array(lambda: (got.i64(), got.i64())), got.i32()
    return error, high_watermark, log_start, got.bytes(got.i32())


def list_offsets(connection, topic, timestamp):
    """Error, offset and leader epoch."""
    row = string(topic) + array(frames.i32(0) + frames.i32(-1) + frames.i64(timestamp))
    got = Reader(connection.ask(frames.request(frames.LIST_OFFSETS, 4, frames.i32(-1) + b"\0" + array(row))))
    got.i32(), got.i32(), got.string(), got.i32(), got.i32()
    error, _, offset, epoch = got.i16(), got.i64(), got.i64(), got.i32()
    return error, offset, epoch


def metadata(connection):
    """Name, error, leader and leader epoch of every topic's first partition."""
    got = Reader(connection.ask(frames.metadata(None, version=8)))
    got.i32()
    got.array(lambda: (got.i32(), got.string(), got.i32(), got.string()))
    got.string(), got.i32()

    def partition():
        error, index, leader, epoch = got.i16(), got.i32(), got.i32(), got.i32()
        for _ in range(3):
            got.array(got.i32)
        return index, error, leader, epoch

    def topic():
        error, name = got.i16(), got.string()
        got.bytes(1)
        partitions = got.array(partition)
        got.i32()
        return name, error, sorted(partitions)[0][1:] if partitions else None

    return got.array(topic)


def delete_records(connection, topic, offset):
    row = string(topic) + array(frames.i32(0) + frames.i64(offset))
    got = Reader(connection.ask(frames.request(DELETE_RECORDS, 1, array(row) + frames.i32(5000))))
    got.i32(), got.i32(), got.string(), got.i32(), got.i32(), got.i64()
    return got.i16()


def describe_log_dirs(connection):
    """For each directory: its error, and `(topic, partition, size, lag, is_future)` of what is in it."""
    got = Reader(connection.ask(frames.request(DESCRIBE_LOG_DIRS, 1, frames.i32(-1))))
    got.i32()
    found = {}

    def topic():
        name = got.string()
        return [(name, *part) for part in got.array(lambda: (got.i32(), got.i64(), got.i64(), got.bytes(1) != b"\0"))]

    for _ in range(got.i32()):
        error, path = got.i16(), got.string()
        found[path] = error, sorted(sum(got.array(topic), []))
    return found


def alter_replica_log_dirs(connection, directory, topic):
    row = string(str(directory)) + array(string(topic) + array(frames.i32(0)))
    got = Reader(connection.ask(frames.request(ALTER_REPLICA_LOG_DIRS, 1, array(row))))
    got.i32(), got.i32(), got.string(), got.i32(), got.i32()
    return got.i16()


def batches_of(records):
    """First offset, offset after the last one, and what follows the leader epoch, of each whole batch."""
    at = 0
    while len(records) - at >= 61:
        base, length = struct.unpack_from(">qi", records, at)
        if length < 49 or at + 12 + length > len(records):
            return
        (last,) = struct.unpack_from(">i", records, at + 23)
        yield base, base + last + 1, records[at + 16 : at + 12 + length]
        at += 12 + length
