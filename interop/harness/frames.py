"""A few of Kafka's requests in raw bytes, to send what no client library would send.

A request is built from small pieces, so that a case can cut, repeat or change any byte of it. Only what the cases need is
here: the flexible encoding (compact lengths, tags) for newer versions, the classic one for older versions.
"""

import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 18, 19, 20, 22
DESCRIBE_CONFIGS, CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS = 32, 37, 44
DESCRIBE_QUORUM, DESCRIBE_CLUSTER, DESCRIBE_TOPIC_PARTITIONS = 55, 60, 75

FLEXIBLE_FROM = {
    PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, API_VERSIONS: 3, CREATE_TOPICS: 5, DELETE_TOPICS: 4,
    INIT_PRODUCER_ID: 2, DESCRIBE_CONFIGS: 4, CREATE_PARTITIONS: 2, INCREMENTAL_ALTER_CONFIGS: 1, DESCRIBE_QUORUM: 0, DESCRIBE_CLUSTER: 0,
    DESCRIBE_TOPIC_PARTITIONS: 0,
}  # fmt: skip


class Closed(Exception):
    """The node closed the connection."""


def i8(value):
    return struct.pack(">b", value)


def i16(value):
    return struct.pack(">h", value)


def i32(value):
    return struct.pack(">i", value)


def i64(value):
    return struct.pack(">q", value)


def uvarint(value):
    """An unsigned variable length integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value):
    """A zigzag variable length integer, as records use them."""
    return uvarint(value << 1 ^ value >> 63)


TAGS = b"\0"


class Form:
    """How strings, arrays and structs are written at one version of one API."""

    def __init__(self, api, version):
        self.flexible = version >= FLEXIBLE_FROM[api]
        self.end = TAGS if self.flexible else b""

    def string(self, text):
        if text is None:
            return b"\0" if self.flexible else i16(-1)
        raw = text.encode()
        return (uvarint(len(raw) + 1) if self.flexible else i16(len(raw))) + raw

    def blob(self, raw):
        return (uvarint(len(raw) + 1) if self.flexible else i32(len(raw))) + raw

    def array(self, items):
        if items is None:
            return b"\0" if self.flexible else i32(-1)
        return (uvarint(len(items) + 1) if self.flexible else i32(len(items))) + b"".join(items)

    def struct(self, *parts):
        return b"".join(parts) + self.end


def request(api, version, body, correlation=1, client="interop"):
    """A whole frame, length included."""
    flexible = version >= FLEXIBLE_FROM.get(api, 1 << 15)
    header = i16(api) + i16(version) + i32(correlation) + i16(len(client)) + client.encode() + (TAGS if flexible else b"")
    return i32(len(header) + len(body)) + header + body


def api_versions(version=0, correlation=1):
    form = Form(API_VERSIONS, version)
    body = form.struct(form.string("interop"), form.string("1")) if version >= 3 else b""
    return request(API_VERSIONS, version, body, correlation)


def metadata(topics, version=9, correlation=1):
    """Metadata of some topics (all when `None`), without creating any."""
    form = Form(METADATA, version)
    rows = None if topics is None else [form.struct(b"\0" * 16 if version >= 10 else b"", form.string(topic)) for topic in topics]
    body = [form.array(rows)]
    if version >= 4:
        body.append(b"\0")
    if version >= 8:
        body.append(b"\0\0" if version <= 10 else b"\0")
    return request(METADATA, version, form.struct(*body), correlation)


def produce(topic, partition, records, version=9, acks=-1, correlation=1, timeout=5000):
    """Versions 3 to 12: with the topic's name."""
    form = Form(PRODUCE, version)
    part = form.struct(i32(partition), form.blob(records))
    rows = form.array([form.struct(form.string(topic), form.array([part]))])
    return request(PRODUCE, version, form.struct(form.string(None), i16(acks), i32(timeout), rows), correlation)


def fetch(topic, partition, offset, version=12, max_wait=0, min_bytes=1, correlation=1, max_bytes=1 << 20):
    """Versions 7 to 12: without a session."""
    form = Form(FETCH, version)
    epochs = i32(-1) if version >= 9 else b""
    last = i32(-1) if version >= 12 else b""
    part = form.struct(i32(partition), epochs, i64(offset), last, i64(-1), i32(max_bytes))
    body = [i32(-1), i32(max_wait), i32(min_bytes), i32(max_bytes), i8(0), i32(0), i32(-1)]
    body += [form.array([form.struct(form.string(topic), form.array([part]))]), form.array([])]
    if version >= 11:
        body.append(form.string(""))
    return request(FETCH, version, form.struct(*body), correlation)


def list_offsets(topic, partition, timestamp, version=6, correlation=1):
    """Versions 4 to 9."""
    form = Form(LIST_OFFSETS, version)
    part = form.struct(i32(partition), i32(-1), i64(timestamp))
    rows = form.array([form.struct(form.string(topic), form.array([part]))])
    return request(LIST_OFFSETS, version, form.struct(i32(-1), i8(0), rows), correlation)


def create_topics(topic, partitions, version=5, validate_only=False, correlation=1):
    """One topic, by the number of its partitions."""
    form = Form(CREATE_TOPICS, version)
    configs = form.array([form.struct(form.string("retention.ms"), form.string("600000"))])
    row = form.struct(form.string(topic), i32(partitions), i16(1), form.array([]), configs)
    body = form.struct(form.array([row]), i32(10000), i8(int(validate_only)))
    return request(CREATE_TOPICS, version, body, correlation)


def create_partitions(topic, count, version=2, correlation=1):
    form = Form(CREATE_PARTITIONS, version)
    row = form.struct(form.string(topic), i32(count), form.array(None))
    return request(CREATE_PARTITIONS, version, form.struct(form.array([row]), i32(10000), i8(1)), correlation)


def delete_topics(topic, version=4, correlation=1):
    form = Form(DELETE_TOPICS, version)
    return request(DELETE_TOPICS, version, form.struct(form.array([form.string(topic)]), i32(10000)), correlation)


def init_producer_id(version=4, correlation=1):
    form = Form(INIT_PRODUCER_ID, version)
    again = i64(-1) + i16(-1) if version >= 3 else b""
    return request(INIT_PRODUCER_ID, version, form.struct(form.string(None), i32(60000), again), correlation)


def describe_configs(topic, version=4, correlation=1):
    form = Form(DESCRIBE_CONFIGS, version)
    row = form.struct(i8(2), form.string(topic), form.array(None))
    return request(DESCRIBE_CONFIGS, version, form.struct(form.array([row]), i8(1), i8(1)), correlation)


def incremental_alter_configs(topic, name, value, version=1, correlation=1):
    form = Form(INCREMENTAL_ALTER_CONFIGS, version)
    config = form.struct(form.string(name), i8(0), form.string(value))
    row = form.struct(i8(2), form.string(topic), form.array([config]))
    return request(INCREMENTAL_ALTER_CONFIGS, version, form.struct(form.array([row]), i8(1)), correlation)


def describe_cluster(correlation=1):
    return request(DESCRIBE_CLUSTER, 0, i8(0) + TAGS, correlation)


def describe_topic_partitions(topic, correlation=1):
    form = Form(DESCRIBE_TOPIC_PARTITIONS, 0)
    row = form.struct(form.string(topic))
    return request(DESCRIBE_TOPIC_PARTITIONS, 0, form.struct(form.array([row]), i32(100), b"\xff"), correlation)


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()


def crc32c(raw):
    """CRC-32C (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in raw:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def batch(records, timestamp=1_700_000_000_000, producer=-1, epoch=-1, sequence=-1, attributes=0):
    """A record batch of format 2 from pairs of key and value."""
    body = bytearray()
    for delta, (key, value) in enumerate(records):
        record = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + varint(0)
        body += varint(len(record)) + record
    last = len(records) - 1
    tail = i16(attributes) + i32(last) + i64(timestamp) + i64(timestamp) + i64(producer) + i16(epoch) + i32(sequence)
    tail += i32(len(records)) + body
    return i64(0) + i32(len(tail) + 9) + i32(-1) + b"\2" + struct.pack(">I", crc32c(tail)) + tail


def sized(raw):
    return varint(-1) if raw is None else varint(len(raw)) + raw


class Connection:
    """One plain connection, used like a client that has read the protocol guide."""

    def __init__(self, address, timeout=120):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, raw):
        self.socket.sendall(raw)

    def read(self):
        """One response: its correlation id and the rest."""
        (size,) = struct.unpack(">i", self._exactly(4))
        frame = self._exactly(size)
        return struct.unpack(">i", frame[:4])[0], frame[4:]

    def ask(self, raw):
        """The body of the response to one request."""
        self.send(raw)
        return self.read()[1]

    def brokers(self):
        """How many brokers Metadata names."""
        return struct.unpack(">i", self.ask(metadata([], version=4))[4:8])[0]

    def quorum_leader(self):
        """Which node leads the metadata quorum; -1 if this one does not know."""
        form = Form(DESCRIBE_QUORUM, 0)
        metadata_log = form.struct(form.string("__cluster_metadata"), form.array([form.struct(i32(0))]))
        answer = self.ask(request(DESCRIBE_QUORUM, 0, form.struct(form.array([metadata_log]))))
        # Tags, error, one topic with its name, one partition: index, error, leader.
        start = 1 + 2 + 1 + 1 + len("__cluster_metadata") + 1
        return struct.unpack(">ihi", answer[start : start + 10])[2]

    def closed(self):
        """Whether the node closes this connection rather than answer."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            try:
                piece = self.socket.recv(count - len(parts))
            except ConnectionError:
                raise Closed from None
            if not piece:
                raise Closed
            parts += piece
        return bytes(parts)
