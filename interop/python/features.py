"""What the features programs of the Python clients share: a registry, a deadline for each feature, and a few words."""

import itertools
import os
import sys
import threading
import time
import traceback

BOOTSTRAP = sys.argv[1] if len(sys.argv) > 1 else ""
SECONDS = 45
WAIT_SECONDS = 20
_RUN = f"{time.time_ns() // 1000000:x}"
_NUMBERS = itertools.count(1)
_FEATURES = []


class NotApplicable(Exception):
    """A feature that this client does not have."""


def feature(area, name):
    """Registers a function that raises when the node does not do what the feature's name says."""

    def register(function):
        _FEATURES.append((area, name, function))
        return function

    return register


def main(word):
    """Runs all features, or those whose area or name has one of the further arguments; prints a line each."""
    global _RUN
    _RUN = f"{word}-{_RUN}"
    words = sys.argv[2:]
    for area, name, function in _FEATURES:
        if not words or any(each in area or each in name for each in words):
            print("\t".join([*run(function, area, name)]), flush=True)
    os._exit(0)  # what a feature left behind must not hold the program


def run(function, area, name):
    """Runs one feature in a thread of its own, so that one that hangs holds nobody."""
    outcome = []

    def body():
        try:
            function()
            outcome.append(("ok", ""))
        except NotApplicable as why:
            outcome.append(("n/a", str(why)))
        except BaseException as why:
            line = traceback.extract_tb(why.__traceback__)
            place = next((frame.lineno for frame in reversed(line) if frame.filename.endswith("_features.py")), "?")
            outcome.append(("FAIL", f"{type(why).__name__}: {why} (line {place})"))

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(SECONDS)
    result, detail = outcome[0] if outcome else ("FAIL", f"not within {SECONDS} s")
    return result, area, name, " ".join(detail.split())


def new_name(word="topic"):
    """A name that nothing else uses."""
    return f"{_RUN}-{word}-{next(_NUMBERS)}"


def equal(actual, wanted):
    """Compares whole values."""
    assert actual == wanted, f"{actual!r} is not {wanted!r}"


def refused(call, *kinds, code=None):
    """The call must raise one of these; with `code`, a KafkaException with this code."""
    try:
        value = call()
    except kinds as why:
        if code is not None:
            equal(why.args[0].code(), code)
        return
    raise AssertionError(f"answered with {value!r}, where {kinds} was due")


def eventually(what, condition):
    """Asks until the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.02)
