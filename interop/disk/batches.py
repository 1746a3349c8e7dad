"""Record batches of format 2: built exactly as asked, and taken apart again."""

import gzip
import struct
from dataclasses import dataclass

from harness.frames import crc32c, i16, i32, i64, sized, varint
from kafka import codec

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
TRANSACTIONAL, CONTROL = 0x10, 0x20
_COMPRESS = {
    NONE: bytes,
    GZIP: lambda raw: gzip.compress(raw, mtime=0),
    SNAPPY: codec.snappy_encode,
    LZ4: codec.lz4_encode,
    ZSTD: codec.zstd_encode,
}
_EXPAND = {NONE: bytes, GZIP: codec.gzip_decode, SNAPPY: codec.snappy_decode, LZ4: codec.lz4_decode, ZSTD: codec.zstd_decode}
_HEADER = struct.Struct(">qiibIhiqqqhii")


def build(records, base=0, compression=NONE, producer=(-1, -1), sequence=-1, transactional=False):
    """A batch from tuples of timestamp, key, value and, if it has any, headers."""
    first = records[0][0]
    body = bytearray()
    for delta, (timestamp, key, value, *rest) in enumerate(records):
        headers = rest[0] if rest else []
        record = b"\0" + varint(timestamp - first) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
        for name, content in headers:
            record += sized(name.encode()) + sized(content)
        body += varint(len(record)) + record
    attributes = compression | (TRANSACTIONAL if transactional else 0)
    latest = max(record[0] for record in records)
    tail = i16(attributes) + i32(len(records) - 1) + i64(first) + i64(latest) + i64(producer[0]) + i16(producer[1])
    tail += i32(sequence) + i32(len(records)) + _COMPRESS[compression](bytes(body))
    return i64(base) + i32(len(tail) + 9) + i32(-1) + b"\2" + struct.pack(">I", crc32c(tail)) + tail


@dataclass
class Batch:
    """The header of a batch, and its records if they were asked for."""

    base: int
    size: int
    leader_epoch: int
    crc: int
    attributes: int
    last: int
    base_timestamp: int
    max_timestamp: int
    producer: int
    producer_epoch: int
    sequence: int
    count: int
    records: list

    @property
    def is_control(self):
        """Whether it holds a transaction's marker."""
        return bool(self.attributes & CONTROL)

    @property
    def is_transactional(self):
        """Whether it is part of a transaction."""
        return bool(self.attributes & TRANSACTIONAL)


def parse(raw):
    """Every whole batch in what a fetch or a file gave."""
    at = 0
    while len(raw) - at >= 61:
        header = _HEADER.unpack_from(raw, at)
        base, length, epoch, _, crc, attributes, delta, first, latest, producer, producer_epoch, sequence, count = header
        if len(raw) - at < 12 + length:
            break
        body = _EXPAND[attributes & 7](bytes(raw[at + 61 : at + 12 + length]))
        records = list(_records(body, count, base, first, latest if attributes & 8 else None))
        yield Batch(
            base, 12 + length, epoch, crc, attributes, base + delta, first, latest, producer, producer_epoch, sequence, count, records
        )
        at += 12 + length


def _records(body, count, base, first, append_time):
    """Tuples of offset, timestamp, key, value and headers."""
    at = 0
    for _ in range(count):
        _, at = _varint(body, at)
        at += 1  # attributes, of which none are in use
        timestamp, at = _varint(body, at)
        delta, at = _varint(body, at)
        key, at = _blob(body, at)
        value, at = _blob(body, at)
        number, at = _varint(body, at)
        headers = []
        for _ in range(number):
            name, at = _blob(body, at)
            content, at = _blob(body, at)
            headers.append((name.decode(), content))
        yield base + delta, first + timestamp if append_time is None else append_time, key, value, headers


def _varint(raw, at):
    """A zigzag variable length integer, and where it ends."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), at
        shift += 7


def _blob(raw, at):
    """Bytes or `None` after their length, and where they end."""
    length, at = _varint(raw, at)
    return (None, at) if length < 0 else (bytes(raw[at : at + length]), at + length)
