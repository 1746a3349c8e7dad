"""The node over HTTP, in as many bytes as a case likes to send."""

import re
import socket

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def ask(port, path, seconds=120):
    """GETs a path: the status and the text."""
    return read(send(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), seconds))


def send(port, request, seconds=120):
    """A connection on which these bytes were sent."""
    connection = socket.create_connection(("127.0.0.1", port), seconds)
    connection.sendall(request)
    return connection


def read(connection):
    """Status and text of the answer; the node closes the connection behind it."""
    whole = b""
    with connection:
        while part := connection.recv(1 << 16):
            whole += part
    head, _, body = whole.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(chunks(body))
    return int(head.split(b" ", 2)[1]), body.decode()


def chunks(body):
    """The parts of a chunked body."""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return
        yield body[:length]
        body = body[length + 2 :]


class Metrics:
    """What /metrics says."""

    def __init__(self, port):
        self.status, self.text = ask(port, "/metrics")
        assert self.status == 200, self.text
        self.samples = {}
        for line in self.text.splitlines():
            if not line.startswith("#"):
                name, labels, number = SAMPLE.fullmatch(line).groups()
                self.samples[name, frozenset(LABEL.findall(labels or ""))] = float(number)

    def get(self, name, **labels):
        """One number; `None` if it is not there."""
        return self.samples.get((name, frozenset((key, str(value)) for key, value in labels.items())))

    def names(self):
        """Every name, each with the names of its labels."""
        return {(name, tuple(sorted(label for label, _ in labels))) for name, labels in self.samples}
