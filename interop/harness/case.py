"""What a case is: a function that takes a `Case` and raises when the node does not do what its name says."""

import itertools
import os
import subprocess
import time
from pathlib import Path

from . import nodes, procs
from .install import INTEROP

ALL = {}
# How long anything is waited for. It is for what hangs, not for what is slow: a machine that is busy takes its time.
PATIENCE_SECONDS = 120


def case(name, slow=False, own_node=False, seconds=600, alone=False):
    """Registers a case. `slow` ones are left out of --quick; those with `own_node` cannot run against --bootstrap; beside one that
    is to be `alone`, since it measures, no other case runs."""

    def register(function):
        assert name not in ALL, name
        function.case_name, function.slow, function.own_node, function.seconds = name, slow, own_node, seconds
        function.alone = alone
        ALL[name] = function
        return function

    return register


class Case:
    """What a case works with: a running node, a directory of its own, commands."""

    def __init__(self, name, bootstrap, kind, home):
        self.name = name
        self._bootstrap = bootstrap
        self.is_kafka = kind == "kafka"
        self.target = nodes.Kafka() if self.is_kafka else nodes.Thalweg()
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self.notes = []

    @property
    def bootstrap(self):
        """The shared node's address."""
        assert self._bootstrap, f"{self.name} did not ask for the shared node"
        return self._bootstrap

    def use(self, node):
        """Takes a node of this case for the shared one."""
        self._bootstrap = node.bootstrap

    @property
    def address(self):
        """The shared node's address, as sockets want it."""
        host, port = self.bootstrap.rsplit(":", 1)
        return host, int(port)

    def new_name(self, word="topic"):
        """A name that no other case uses."""
        base = self.name.replace("/", "-").replace("_", "-")
        return f"{base}-{word}-{next(self._numbers)}"

    def topic(self, partitions=1, word="topic", bootstrap=None, **configs):
        """Creates a topic and returns its name; a config's dots are written as underscores."""
        from confluent_kafka.admin import AdminClient, NewTopic

        name = self.new_name(word)
        admin = AdminClient({"bootstrap.servers": bootstrap or self.bootstrap})
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(PATIENCE_SECONDS)
        return name

    def ephemeral(self, *overrides):
        """A throw-away node for this case alone."""
        return self.target.ephemeral(self.home / f"ephemeral{next(self._numbers)}", *overrides)

    def start(self, *properties, **options):
        """This case's own node on its own directory; again after it has stopped."""
        return self.target.start(self.home / "node", *properties, **options)

    def command(self, *arguments, stdin=None, code=0, seconds=300, env=None):
        """Runs a command; returns its standard output as text. Its exit code must be `code` (`None`: any)."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [str(part) for part in arguments],
            input=given if given is not None else b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=seconds,
            env={**os.environ, **(env or {})},
            preexec_fn=procs.die_with_parent,
        )
        self.stderr = done.stderr.decode(errors="replace")
        out = done.stdout.decode(errors="replace")
        if code is not None and done.returncode != code:
            shown = " ".join(str(part) for part in arguments)
            raise AssertionError(f"`{shown[:300]}` ended with {done.returncode}, not {code}: {(out + self.stderr)[-2000:]}")
        self.code = done.returncode
        return out

    def java(self, tool, *arguments, **options):
        """One of Kafka's own tools."""
        return self.command(INTEROP / "kafka" / "kafka", "bin", tool, *arguments, **options)

    def note(self, text):
        """A figure to show beside the result."""
        self.notes.append(text)


def equal(actual, wanted, what):
    """Compares whole values; shows where long ones part."""
    if actual == wanted:
        return
    if isinstance(actual, (list, tuple, str, bytes)) and len(actual) + len(wanted) > 40:
        at = next((i for i, (a, b) in enumerate(zip(actual, wanted)) if a != b), min(len(actual), len(wanted)))
        near = slice(max(0, at - 2), at + 4)
        raise AssertionError(
            f"{what}: {len(actual)} where {len(wanted)} are wanted; they part at {at}: {brief(actual[near])} is not {brief(wanted[near])}"
        )
    raise AssertionError(f"{what}: {brief(actual)} is not {brief(wanted)}")


def expect(condition, what):
    """Raises with `what` unless the condition holds."""
    if not condition:
        raise AssertionError(what)


def contains(text, part, what):
    """`part` must occur in `text`."""
    if part not in text:
        raise AssertionError(f"{what}: no {part!r} in {brief(text)}")


def brief(value, limit=600):
    """A value, cut for display."""
    shown = repr(value)
    return shown if len(shown) <= limit else f"{shown[:limit]}... ({len(shown)} characters)"


def eventually(condition, what, seconds=PATIENCE_SECONDS):
    """Asks until the condition holds; for what a protocol promises soon, not at once."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.05)
