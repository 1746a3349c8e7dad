"""Runs cases one after the other, each in a process of its own, and counts."""

import argparse
import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock

import cases

from . import nodes, procs
from .case import ALL, Case


def main():
    """The command line."""
    load_cases()
    options = parse()
    if options.one:
        return run_here(options)
    chosen = choose(options)
    if options.list:
        print("\n".join(f"{function.case_name}{'  (slow)' if function.slow else ''}" for function in chosen))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    root = Path(tempfile.mkdtemp(prefix="thalweg-interop-"))
    try:
        return run_all(chosen, options, root)
    finally:
        if options.keep:
            print(f"kept {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)


def parse():
    """Options; see --help."""
    parser = argparse.ArgumentParser(prog="interop/run", description="Runs other people's clients and tools against a node.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases, or the beginnings of their names, such as kcat/")
    parser.add_argument("--quick", action="store_true", help="leave out the slow cases")
    parser.add_argument("--against", choices=["thalweg", "kafka"], default="thalweg", help="which node to start (default thalweg)")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="use a node that already runs")
    parser.add_argument("--bars", action="store_true", help="only the bars: start time, memory and CPU")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many cases run at once (default 1); those that measure run alone")
    parser.add_argument("--keep", action="store_true", help="keep the directories of the nodes")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    return parser.parse_args()


def load_cases():
    """Imports every module of `cases`; each registers its own."""
    only_names = bool({"--list", "--help", "-h"} & set(sys.argv))
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda found: found.name):
        try:
            load(f"cases.{module.name}", only_names)
        except ImportError as missing:
            raise SystemExit(f"interop: {missing}; run interop/run without --list first") from missing


def load(module, only_names):
    """Imports a module. Where only names are wanted, nothing needs to be installed: what is missing is replaced by nothing."""
    while True:
        try:
            importlib.import_module(module)
            return
        except ImportError as missing:
            if not only_names or missing.name is None or isinstance(sys.modules.get(missing.name), MagicMock):
                raise
            sys.modules[missing.name] = MagicMock()


def choose(options):
    """The cases that the options name, in the order of their files."""
    if options.bars:
        options.names.append("bars/")
    wrong = [name for name in options.names if not any(known.startswith(name) for known in ALL)]
    if wrong:
        raise SystemExit(f"interop: no case begins with {', '.join(wrong)}; see interop/run --list")
    chosen = [function for name, function in ALL.items() if not options.names or any(name.startswith(given) for given in options.names)]
    return [
        function
        for function in chosen
        if not (options.quick and function.slow and not options.names) and not (options.bootstrap and function.own_node)
    ]


class Run:
    """The chosen cases on their way. Workers take them in order; of those that share a node, one runs at a time. Those that measure
    run after all others and one at a time."""

    def __init__(self, chosen, options, root):
        self.options, self.root, self.count = options, root, len(chosen)
        self.pending = [function for function in chosen if not function.alone]
        self.measuring = [function for function in chosen if function.alone]
        self.changed = threading.Condition()
        self.shared, self.bootstrap = None, options.bootstrap
        self.shared_is_taken = False
        self.done = self.passed = self.failed = 0

    def work(self):
        """What each worker does."""
        while (function := self.take()) is not None:
            try:
                trouble, notes, seconds = self.play(function)
            finally:
                self.give_back(function)
            self.tell(function, trouble, notes, seconds)

    def shares(self, function):
        """Whether the case uses the node that most use."""
        return not function.own_node and not self.options.bootstrap

    def take(self):
        """The next case that may run now; None when there is none left."""
        with self.changed:
            while self.pending:
                for function in self.pending:
                    if not (self.shared_is_taken and self.shares(function)):
                        self.pending.remove(function)
                        self.shared_is_taken |= self.shares(function)
                        return function
                self.changed.wait()
            return None

    def give_back(self, function):
        """Another case may have the shared node."""
        with self.changed:
            if self.shares(function):
                self.shared_is_taken = False
            self.changed.notify_all()

    def play(self, function):
        """Runs a case. Only who has taken the shared node looks at it."""
        if self.shares(function) and (self.shared is None or not self.shared.alive()):
            if self.shared is not None:
                print("     the shared node had ended; starting another", flush=True)
            self.shared, self.bootstrap, trouble = start_shared(self.options, self.root, self.done + 1)
            if trouble:
                return trouble, [], 0.0
        trouble, notes, seconds = run_one(function, self.options, self.bootstrap, self.root)
        if trouble and self.shares(function) and not self.shared.alive():
            trouble += "\nthe shared node ended during this case: " + nodes.logs(self.shared.home)
        return trouble, notes, seconds

    def tell(self, function, trouble, notes, seconds):
        """Prints what came of a case, and counts it."""
        with self.changed:
            self.done += 1
            self.passed, self.failed = self.passed + (not trouble), self.failed + bool(trouble)
            label = f"{function.case_name:<44} {seconds:6.1f} s  [{self.done}/{self.count}]"
            print(f"{'FAIL' if trouble else 'ok  '} {label}{'  ' + '; '.join(notes) if notes else ''}", flush=True)
            if trouble:
                print("\n".join("     " + line for line in told(trouble)), flush=True)

    def stop_shared(self):
        """Ends the shared node, which has to end well."""
        if self.shared is not None and self.shared.alive():
            try:
                self.shared.stop()
            except AssertionError as slow:
                self.failed += 1
                print(f"FAIL shared node: {slow}", flush=True)


def run_all(chosen, options, root):
    """Runs the chosen cases; returns the exit code."""
    began = time.monotonic()
    run = Run(chosen, options, root)
    # A node dies with the thread that has started it: no thread ends before all cases have.
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            for worker in [pool.submit(run.work) for _ in range(options.jobs)]:
                worker.result()
            run.pending = run.measuring
            pool.submit(run.work).result()
        finally:
            run.stop_shared()
    print(f"against {options.bootstrap or options.against}, {time.monotonic() - began:.0f} s")
    print(f"{run.passed} passed, {run.failed} failed", flush=True)
    return 1 if run.failed or not run.passed else 0


def told(trouble, limit=40):
    """The last lines of a failure, without what librdkafka says of every lost connection."""
    lines = [line for line in trouble.rstrip().splitlines() if not re.match(r"%\d\|", line)]
    return lines[-limit:]


def start_shared(options, root, number):
    """The node that most cases use, with its address or with what went wrong."""
    target = nodes.Kafka() if options.against == "kafka" else nodes.Thalweg()
    try:
        node = target.ephemeral(root / f"shared{number}")
        return node, node.bootstrap, None
    except (AssertionError, OSError) as why:
        return None, None, f"the shared node did not start: {why}"


def run_one(function, options, bootstrap, root):
    """Runs one case in its own process group, so that a case that hangs takes what it started with it."""
    name, began = function.case_name, time.monotonic()
    home = root / name.replace("/", "-")
    command = [sys.executable, "-m", "harness", "--one", name, "--home", str(home), "--against", options.against]
    if bootstrap and not function.own_node:
        command += ["--bootstrap", bootstrap]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=procs.die_with_parent,
    )
    try:
        out, _ = child.communicate(timeout=function.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
        return f"{out[-2000:]}\nnot finished within {function.seconds} s", [], time.monotonic() - began
    finally:
        if not options.keep:
            shutil.rmtree(home, ignore_errors=True)
    notes = []
    last = out.rstrip().rsplit("\n", 1)[-1]
    if last.startswith("NOTES "):
        notes, out = json.loads(last[6:]), out[: out.rindex("NOTES ")]
    return (None if child.returncode == 0 else out[-6000:] or f"exit code {child.returncode}"), notes, time.monotonic() - began


def run_here(options):
    """One case, in this process."""
    function = ALL[options.one]
    it = Case(options.one, options.bootstrap, options.against, options.home)
    code = 0
    try:
        function(it)
    except AssertionError as why:
        where = next(frame for frame in reversed(traceback.extract_tb(why.__traceback__)) if "/cases/" in frame.filename)
        print(f"{why}\n  at {Path(where.filename).name}:{where.lineno}: {where.line}")
        code = 1
    except Exception:  # a client's own error is a failure of the case, with its whole story
        traceback.print_exc(file=sys.stdout)
        code = 1
    print("NOTES " + json.dumps(it.notes), flush=True)
    os._exit(code)  # a client library's threads must not keep a finished case alive


if __name__ == "__main__":
    sys.exit(main())
