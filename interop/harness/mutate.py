"""Seeded damage to valid requests, and the connections that deliver it."""

import random
import selectors
import socket
import struct
import time

from . import frames

MARKER = 0x5EED5EED
INTERESTING = [0, 1, -1, 2**31 - 1, -(2**31), 2**16, 2**24, 255, 127, 128, 0x7FFF, -2]


class Mutator:
    """Makes damaged frames from valid ones. One seed gives one sequence."""

    def __init__(self, seed, corpus, batches, produce):
        self.random = random.Random(seed)
        self.corpus = corpus
        self.batches = batches
        self.produce = produce
        self.ways = [self.change, self.change, self.number, self.cut, self.insert, self.remove, self.splice, self.retype, self.length, self.noise, self.resealed]

    def next(self):
        """One damaged frame, its length prefix included."""
        return self.random.choice(self.ways)(bytearray(self.random.choice(self.corpus)[4:]))

    def change(self, body):
        """A few bytes anywhere."""
        for _ in range(self.random.choice((1, 1, 1, 2, 4, 16))):
            body[self.random.randrange(len(body))] = self.random.randrange(256)
        return sized(body)

    def number(self, body):
        """A number that is often mishandled, over four bytes."""
        at = self.random.randrange(max(1, len(body) - 4))
        body[at : at + 4] = struct.pack(">i", self.random.choice(INTERESTING))
        return sized(body)

    def cut(self, body):
        """The end is missing."""
        return sized(body[: self.random.randrange(len(body))])

    def insert(self, body):
        """Some more bytes in the middle."""
        at = self.random.randrange(len(body))
        return sized(body[:at] + self.random.randbytes(self.random.randrange(1, 40)) + body[at:])

    def remove(self, body):
        """Some bytes are missing in the middle."""
        at = self.random.randrange(len(body))
        return sized(body[:at] + body[at + self.random.randrange(1, 20) :])

    def splice(self, body):
        """The beginning of one request and the end of another."""
        other = self.random.choice(self.corpus)[4:]
        return sized(body[: self.random.randrange(len(body))] + other[self.random.randrange(len(other)) :])

    def retype(self, body):
        """The body of one API under the key and version of another."""
        body[0:4] = struct.pack(">hh", self.random.choice((self.random.randrange(0, 95), self.random.randrange(-5, 32767))), self.random.randrange(-1, 20))
        return sized(body)

    def length(self, body):
        """The length prefix lies."""
        lie = self.random.choice((len(body) + self.random.randrange(1, 100), max(0, len(body) - self.random.randrange(1, 50)), *INTERESTING))
        return struct.pack(">i", lie) + body

    def noise(self, _):
        """Bytes that were never a request."""
        return sized(bytearray(self.random.randbytes(self.random.randrange(0, 200))))

    def resealed(self, _):
        """A damaged record batch whose checksum is right."""
        batch = bytearray(self.random.choice(self.batches))
        for _ in range(self.random.choice((1, 1, 2, 5))):
            batch[self.random.randrange(21, len(batch))] = self.random.randrange(256)
        batch[17:21] = struct.pack(">I", frames.crc32c(batch[21:]))
        return self.produce(bytes(batch))


def sized(body):
    """With a length prefix that is true."""
    return struct.pack(">i", len(body)) + bytes(body)


class Barrage:
    """Sends frames over many connections at once, each followed by a marker that a healthy connection answers."""

    def __init__(self, address, connections=100, patience=0.1):
        self.address = address
        self.connections = connections
        self.patience = patience
        self.selector = selectors.DefaultSelector()
        self.outcomes = {"answered": 0, "closed": 0, "waited": 0}
        self.opened = 0

    def run(self, produce_frame, count):
        """Sends `count` frames from `produce_frame()`; what became of them is in `outcomes`."""
        self.left = count
        self.frame = produce_frame
        live = {self._fill(_Line()) for _ in range(min(self.connections, count))}
        while live:
            for key, _ in self.selector.select(self.patience / 4):
                outcome = key.data.receive()
                if outcome:
                    self._settle(live, key.data, outcome)
            late = time.monotonic() - self.patience
            for line in [line for line in live if line.sent_at < late]:
                self._settle(live, line, "waited")
        self.selector.close()

    def _settle(self, live, line, outcome):
        self.outcomes[outcome] += 1
        if outcome != "answered":
            self.selector.unregister(line.socket)
            line.close()
        if self.left > 0:
            self._fill(line)
        else:
            live.discard(line)
            if line.socket:
                self.selector.unregister(line.socket)
                line.close()

    def _fill(self, line):
        self.left -= 1
        if not line.socket:
            self.opened += 1
            line.open(self.address, self.opened)
            self.selector.register(line.socket, selectors.EVENT_READ, line)
        line.send(self.frame() + frames.api_versions(0, MARKER))
        return line


class _Line:
    """One connection of a barrage."""

    socket = None

    def open(self, address, number):
        """Connects from one of many loopback addresses, so that no port runs out."""
        self.socket = socket.socket()
        self.socket.bind((f"127.0.{number % 20}.{2 + number % 200}", 0))
        self.socket.settimeout(120)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.buffer = bytearray()

    def send(self, raw):
        self.sent_at = time.monotonic()
        try:
            self.socket.send(raw)
        except (ConnectionError, BlockingIOError):
            pass

    def receive(self):
        """`answered` when the marker came, `closed` when the node hung up, `None` when it is too early to tell."""
        try:
            piece = self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except ConnectionError:
            return "closed"
        if not piece:
            return "closed"
        self.buffer += piece
        while len(self.buffer) >= 8:
            size, correlation = struct.unpack(">ii", self.buffer[:8])
            if len(self.buffer) < 4 + size:
                return None
            del self.buffer[: 4 + size]
            if correlation == MARKER:
                return "answered"
        return None

    def close(self):
        """Hangs up at once, without a wait for the other side."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.socket = None
