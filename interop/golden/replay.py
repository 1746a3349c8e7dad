#!/usr/bin/env python3
"""Replays recorded command lines of Kafka's tools against a node and compares what they print. See README.md."""

import argparse
import concurrent.futures
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KAFKA = os.path.join(HERE, "..", "kafka", "kafka")
CLUSTER = os.path.join(HERE, "cluster.py")
UNBUILT = os.path.join(HERE, "unbuilt.txt")
# What Thalweg's own tools do not answer as recorded, in the form of unbuilt.txt.
TOOLS_DIFFER = os.path.join(HERE, "tools-differ.txt")
# Scenarios that Thalweg's own tools play in less than two minutes together.
QUICK = ("03-", "04-", "05-", "07-", "08-", "10-", "11-", "12-", "13-", "14-", "16-", "18-", "19-", "21-", "22-", "23-", "30-")
STEP_SECONDS_MAX = 300
WAIT_SECONDS_MAX = 180
printing = threading.Lock()


def say(*words):
    with printing:
        print(*words, flush=True)


# ---------------------------------------------------------------- the scenario format


def words_of(text):
    """Splits a command line at blanks. '..' and ".." keep blanks; nothing else is special, no escapes."""
    words, word, quote = [], None, None
    for c in text:
        if quote:
            if c == quote:
                quote = None
            else:
                word += c
        elif c in "'\"":
            quote, word = c, word or ""
        elif c in " \t":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + c
    if quote:
        raise ValueError("unclosed quote: " + text)
    return words + ([word] if word is not None else [])


def parse(path):
    """Returns (cluster nodes, properties, actions). An action is a dict with 'kind' and 'line' (the line as written)."""
    nodes, properties, actions, defaults = 1, [], [], []
    for number, line in enumerate(open(path, encoding="utf-8").read().split("\n"), 1):
        head, rest = line[:1], line[2:]
        if not line.strip() or head == "#":
            continue
        action = actions[-1] if actions else None
        if head == "$":
            actions.append({"kind": "run", "line": line, "words": words_of(rest), "stdin": "", "flags": list(defaults), "save": []})
        elif head == "?":
            actions.append({"kind": "wait", "line": line, "words": words_of(rest), "stdin": "", "regex": None})
        elif head == "&":
            name, _, command = rest.partition(" ")
            actions.append({"kind": "start", "line": line, "name": name, "words": words_of(command), "stdin": ""})
        elif head == "~":
            action["regex"] = rest
        elif head == "=":
            name, _, regex = rest.partition(" ")
            action["save"].append((name, regex))
        elif head == "<":
            action["stdin"] += rest + "\n"
        elif head == "|":
            action["text"] += rest + "\n"
        elif head == "!":
            action["flags"] += rest.split()
        elif head == "@":
            name, *args = line[1:].split()
            if name == "cluster":
                nodes, properties = (0 if args[0] == "none" else int(args[0])), args[1:]
            elif name == "flags":
                defaults = args
            elif name == "file":
                actions.append({"kind": "file", "line": line, "name": args[0], "text": ""})
            elif name in ("stop", "join"):
                actions.append({"kind": name, "line": line, "name": args[0], "flags": list(defaults), "save": []})
            elif name == "sleep":
                actions.append({"kind": "sleep", "line": line, "seconds": float(args[0])})
            elif name == "node":
                actions.append({"kind": "node", "line": line, "verb": args[0], "node": args[1]})
            else:
                raise ValueError(f"{path}:{number}: unknown directive {name}")
        else:
            raise ValueError(f"{path}:{number}: cannot read: {line}")
    return nodes, properties, actions


# ---------------------------------------------------------------- text: normalising, writing, reading


def text_of(raw):
    """Bytes as text: invalid UTF-8 and control characters other than tab and newline become \\xNN."""
    text = raw.decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda m: "\\x%02x" % ord(m.group()), text)


class Rules:
    def __init__(self):
        data = json.load(open(os.path.join(HERE, "normalise.json"), encoding="utf-8"))
        ready = lambda rules: [(re.compile(r["regex"]), re.sub(r"\$\{(\d+)\}", r"\\g<\1>", r["with"])) for r in rules]
        self.always = ready(data["always"])
        self.groups = {name: ready(rules) for name, rules in data["groups"].items()}

    def apply(self, text, variables, flags):
        for name, value in sorted(variables.items(), key=lambda v: (-len(v[1]), v[0])):
            if name.endswith("_PORT"):
                text = re.sub(r"(^|[^0-9])" + value + r"([^0-9]|$)", r"\g<1>{" + name + r"}\g<2>", text)
            elif value:
                text = text.replace(value, "{" + name + "}")
        for group in [f for f in flags if f in self.groups]:
            for regex, replacement in self.groups[group]:
                text = regex.sub(replacement, text)
        for regex, replacement in self.always:
            text = regex.sub(replacement, text)
        return text


def lines_of(stream, text):
    lines = text.split("\n")
    last = lines.pop()
    return [f"{stream}|{line}" for line in lines] + ([f"{stream}:{last}"] if last else [])


def read_expected(path):
    steps = []
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line[:2] in ("$ ", "@j", "@s"):
            steps.append({"line": line, "exit": None, "out": []})
        elif line.startswith("exit "):
            steps[-1]["exit"] = line[5:]
        elif line[:2] in ("1|", "1:", "2|", "2:"):
            steps[-1]["out"].append(line)
        elif line.strip():
            raise ValueError(f"{path}: cannot read: {line}")
    return steps


def read_unbuilt(path):
    """What is not built yet: {scenario: {step or None for all of it: line of the file}}."""
    listed = {}
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+) +(all|\d+)  (#\d+: .+)", line.rstrip("\n"))
        if not match:
            raise SystemExit(f"{os.path.basename(path)}:{number}: not `SCENARIO STEP|all  #ISSUE: REASON`")
        step = None if match.group(2) == "all" else int(match.group(2))
        listed.setdefault(match.group(1), {})[step] = line
    return listed


# ---------------------------------------------------------------- running


class Run:
    """One scenario against one cluster."""

    def __init__(self, options, path):
        self.options, self.path = options, path
        self.name = os.path.basename(path)[:-4]
        self.nodes, self.properties, self.actions = parse(path)
        self.rules = Rules()
        self.variables, self.background = {}, {}
        self.dir = None
        # Steps that are listed as not built, the listed lines that passed all the same, and what failed unlisted.
        self.unbuilt, self.built, self.failed = {}, [], []

    def env(self):
        env = {k: v for k, v in os.environ.items() if not re.match(r"KAFKA|JAVA_TOOL|_JAVA|COLUMNS|LINES|LC_|LANG|TZ", k)}
        env.update(TZ="UTC", LC_ALL="C.UTF-8", LANG="C.UTF-8")
        return env

    def fill(self, text):
        for name, value in self.variables.items():
            text = text.replace("{" + name + "}", value)
        return text

    def command(self, words):
        words = [self.fill(w) for w in words]
        tool = os.path.join(self.options.tools_dir, words[0])
        if words[0] == "kafka-run-class.sh" and not os.path.exists(tool):
            return [os.path.abspath(KAFKA), "run"] + words[1:]
        if not os.path.exists(tool):
            return ["sh", "-c", f"echo {words[0]}: not built >&2; exit 127"]
        return [tool] + words[1:]

    def popen(self, words, stdin):
        process = subprocess.Popen(self.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.env(), cwd=self.variables["TMP"], start_new_session=True)
        process.text = self.fill(stdin).encode()
        return process

    def finish(self, process, seconds):
        """Returns (exit code, stdout, stderr)."""
        try:
            out, err = process.communicate(process.text, timeout=seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return "timeout", text_of(out), text_of(err)
        return str(code if code >= 0 else 128 - code), text_of(out), text_of(err)

    def start_background(self, action):
        process = self.popen(action["words"], action["stdin"])
        box = {"process": process}

        def reader():
            box["result"] = self.finish(process, 600)
        box["thread"] = threading.Thread(target=reader, daemon=True)
        box["thread"].start()
        self.background[action["name"]] = box

    def end_background(self, name, verb):
        box = self.background.pop(name)
        if verb == "stop" and box["process"].poll() is None:
            box["process"].terminate()
        box["thread"].join(STEP_SECONDS_MAX)
        if box["thread"].is_alive():
            os.killpg(box["process"].pid, signal.SIGKILL)
            box["thread"].join()
        return box["result"]

    def up(self):
        self.dir = tempfile.mkdtemp(prefix="golden-" + self.name + "-", dir=self.options.scratch)
        tmp = os.path.join(self.dir, "tmp")
        os.mkdir(tmp)
        self.variables = {"TMP": tmp, "DIR": self.dir}
        if not self.nodes:
            return
        if self.options.bootstrap:
            boots = self.options.bootstrap
            controllers = self.options.controller or ""
        else:
            up = words_of(self.options.up) + [self.dir, str(self.nodes)] + [self.fill(p) for p in self.properties]
            done = subprocess.run(up, env=self.env(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True,
                                  start_new_session=True)
            boots = done.stdout.decode().split()[-1]
            controllers = ""
            for line in open(os.path.join(self.dir, "node1", "server.properties"), encoding="utf-8"):
                if line.startswith("controller.quorum.bootstrap.servers="):
                    controllers = line.strip().split("=", 1)[1]
        for letter, whole in (("B", boots), ("C", controllers)):
            self.variables[letter] = whole
            for i, one in enumerate(whole.split(",") if whole else [], 1):
                self.variables[f"{letter}{i}"] = one
                self.variables[f"{letter}{i}_PORT"] = one.rpartition(":")[2]
        if self.nodes == 1:  # one name for one thing
            self.variables.pop("B1")
            self.variables.pop("C1", None)

    def down(self):
        for name in list(self.background):
            self.end_background(name, "stop")
        if self.nodes and not self.options.bootstrap:
            subprocess.run(words_of(self.options.down) + [self.dir], stdout=subprocess.DEVNULL)
        if self.dir and not self.options.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def node(self, verb, node):
        directory = os.path.join(self.dir, "node" + node)
        if verb == "stop":
            pid = int(open(os.path.join(directory, "pid")).read())
            os.kill(pid, signal.SIGTERM)
            for _ in range(600):
                try:
                    os.kill(pid, 0)
                    if open(f"/proc/{pid}/stat").read().split()[2] == "Z":
                        return
                except (ProcessLookupError, FileNotFoundError):
                    return
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)
        else:
            subprocess.run(words_of(self.options.start) + [directory], env=self.env(), check=True, start_new_session=True)

    def steps(self):
        """Yields (action, exit code, stdout, stderr) of every recorded step, normalised."""
        for action in self.actions:
            kind = action["kind"]
            if kind in ("run", "stop", "join"):
                if kind == "run":
                    result = self.finish(self.popen(action["words"], action["stdin"]), STEP_SECONDS_MAX)
                else:
                    result = self.end_background(action["name"], kind)
                code, out, err = result
                for name, regex in action["save"]:
                    match = re.search(regex, out)
                    if match:
                        self.variables[name] = match.group(1)
                    else:
                        say(f"  {self.name}: nothing to save as {name} in: {action['line']}")
                        self.variables[name] = "MISSING-" + name
                streams = [self.rules.apply(text, self.variables, action["flags"]) for text in (out, err)]
                yield action, code, lines_of(1, streams[0]) + lines_of(2, streams[1])
            elif kind == "wait":
                deadline = time.monotonic() + WAIT_SECONDS_MAX
                while True:
                    _, out, _ = self.finish(self.popen(action["words"], action["stdin"]), STEP_SECONDS_MAX)
                    if re.search(self.fill(action["regex"]), out):
                        break
                    if time.monotonic() > deadline:
                        say(f"  {self.name}: gave up waiting: {action['line']}\n{out}")
                        break
                    time.sleep(0.3)
            elif kind == "start":
                self.start_background(action)
            elif kind == "file":
                with open(os.path.join(self.variables["TMP"], action["name"]), "w", encoding="utf-8") as f:
                    f.write(self.fill(action["text"]))
            elif kind == "sleep":
                time.sleep(action["seconds"])
            elif kind == "node":
                self.node(action["verb"], action["node"])

    def record(self):
        lines, count, began = [], 0, time.monotonic()
        try:
            self.up()
            for action, code, out in self.steps():
                lines += [action["line"], f"exit {code}"] + out + [""]
                count += 1
        finally:
            self.down()
        with open(os.path.join(self.options.expected, self.name + ".out"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
        say(f"recorded {self.name}: {count} steps, {time.monotonic() - began:.0f} s")
        return count, 0

    def check(self):
        expected = read_expected(os.path.join(self.options.expected, self.name + ".out"))
        passed = failed = 0
        began = time.monotonic()
        report = []
        try:
            self.up()
            for i, (action, code, out) in enumerate(self.steps()):
                want = expected[i] if i < len(expected) else {"line": "", "exit": None, "out": []}
                a, b = want["out"], out
                if "unordered" in action["flags"]:
                    a, b = sorted(a), sorted(b)
                if "words" in action["flags"]:
                    a, b = [sorted(re.findall(r"[^\s,\[\]{}]+", "\n".join(x))) for x in (a, b)]
                if "any-stderr" in action["flags"]:
                    a, b = [x for x in a if x[0] == "1"], [x for x in b if x[0] == "1"]
                a, b = [f"exit {want['exit']}"] + a, [f"exit {code}"] + b
                if "any-output" in action["flags"]:
                    a, b = a[:1], b[:1]
                same = want["line"] == action["line"] and a == b
                if same and i + 1 in self.unbuilt:
                    failed += 1
                    self.built.append(self.unbuilt[i + 1])
                    report.append(f"BUILT {self.name} step {i + 1} passes now; take it out of the list (--forget)")
                elif same or i + 1 in self.unbuilt:
                    passed += 1
                else:
                    failed += 1
                    self.failed.append(f"{self.name} {i + 1}")
                    report.append(f"FAILED {self.name} step {i + 1}: {action['line']}")
                    report += list(difflib.unified_diff(a, b, "expected", "got", lineterm="", n=2))[2:]
        finally:
            self.down()
        say("\n".join(report + [f"checked {self.name}: {passed} passed, {failed} failed, {time.monotonic() - began:.0f} s"]))
        return passed, failed


def tools_dir():
    """A folder of executables named like Kafka's tools."""
    folder = os.path.join(HERE, "..", "..", "target", "kafka-tools")
    os.makedirs(folder, exist_ok=True)
    for line in open(os.path.join(HERE, "..", "kafka", "tools.txt"), encoding="utf-8"):
        name = line.split()[0]
        path = os.path.join(folder, name)
        text = f'#!/bin/sh\nexec "{os.path.abspath(KAFKA)}" bin {name} "$@"\n'
        if not os.path.exists(path) or open(path).read() != text:
            new = f"{path}.{os.getpid()}"
            with open(new, "w") as file:
                file.write(text)
            os.chmod(new, 0o755)
            os.replace(new, path)
    return os.path.abspath(folder)


def own_tools():
    """A folder of links that call Thalweg's own tools by the names of Kafka's."""
    binary = os.path.abspath(os.environ.get("THALWEG", os.path.join(HERE, "..", "..", "target", "release", "thalweg")))
    folder = os.path.join(os.path.dirname(binary), "tools")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([binary, "install-tools", folder], check=True, stdout=subprocess.DEVNULL)
    if os.environ.get("GOLDEN_MIXED"):  # Kafka's tools for those that Thalweg does not have
        kafkas = tools_dir()
        for name in os.listdir(kafkas):
            if not os.path.exists(os.path.join(folder, name)):
                os.symlink(os.path.join(kafkas, name), os.path.join(folder, name))
    return folder


def prepare():
    """Makes the tools start faster, with the help of a node that is gone afterwards."""
    home = tempfile.mkdtemp(prefix="golden-archive-")
    try:
        bootstrap = subprocess.check_output([CLUSTER, "thalweg", "up", home, "1"], text=True).split()[-1]
        subprocess.run([KAFKA, "archive", bootstrap], check=True)
    finally:
        subprocess.run([CLUSTER, "thalweg", "down", home])
        shutil.rmtree(home, ignore_errors=True)


def parse_options():
    """See --help."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["record", "check", "list"])
    parser.add_argument("scenario", nargs="*", help="names or parts of names; default all")
    parser.add_argument("--against", choices=["thalweg", "kafka"], default="thalweg", help="which node to start")
    parser.add_argument("--tools-dir", help="where other kafka-*.sh are; default: Kafka's own")
    parser.add_argument("--quick", action="store_true", help="only scenarios that take little time with --tools thalweg")
    parser.add_argument("--tools", choices=["kafka", "thalweg"], default="kafka", help="whose tools are played")
    parser.add_argument("--bootstrap", help="HOST:PORT of a fresh running broker, instead of starting one")
    parser.add_argument("--controller", help="HOST:PORT of its controller listener")
    parser.add_argument("--expected", default=os.path.join(HERE, "expected"), help="folder of the recorded results")
    parser.add_argument("--scratch", default=tempfile.gettempdir())
    parser.add_argument("--jobs", type=int, default=1, help="scenarios at a time")
    parser.add_argument("--keep", action="store_true", help="keep the clusters' folders")
    parser.add_argument("--forget", action="store_true", help="take out of unbuilt.txt what passes now")
    parser.add_argument("--failed", metavar="FILE", help="write there which steps failed, a line each")
    options = parser.parse_intermixed_args()
    command = CLUSTER + " " + ("kafka" if options.mode == "record" else options.against)
    options.up, options.start, options.down = (f"{command} {verb}" for verb in ("up", "start", "down"))
    return options


def select(options):
    """The scenarios to play: none that is not built at all, and without a broker only when the tools are judged."""
    folder = os.path.join(HERE, "scenarios")
    names = sorted(f for f in os.listdir(folder) if f.endswith(".scn"))
    runs = [Run(options, os.path.join(folder, f)) for f in names if not options.scenario or any(s in f for s in options.scenario)]
    if options.mode != "check" or options.against == "kafka":
        return runs
    unbuilt = read_unbuilt(UNBUILT)
    differ = read_unbuilt(TOOLS_DIFFER) if options.tools == "thalweg" else {}
    for run in runs:
        run.unbuilt = {**unbuilt.get(run.name, {}), **differ.get(run.name, {})}
    if options.quick:
        runs = [r for r in runs if r.name.startswith(QUICK)]
    if options.bootstrap:
        runs = [r for r in runs if r.nodes <= 1 and not r.properties]
    return [r for r in runs if None not in r.unbuilt and (r.nodes or options.tools_dir or options.tools == "thalweg")]


def play(options, runs):
    """Plays them, some at a time; returns how many steps passed and failed."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = []
        for run, future in [(r, pool.submit(r.record if options.mode == "record" else r.check)) for r in runs]:
            try:
                results.append(future.result())
            except Exception as e:  # one broken scenario must not hide the others
                say(f"BROKEN {run.name}: {type(e).__name__}: {e}")
                results.append((0, 1))
    return sum(r[0] for r in results), sum(r[1] for r in results)


def main():
    options = parse_options()
    runs = select(options)
    if options.mode == "list":
        for run in runs:
            count = sum(a["kind"] in ("run", "stop", "join") for a in run.actions)
            print(f"{count:4} steps  {run.nodes} nodes  {run.name}")
        return 0
    if options.tools == "thalweg":
        options.tools_dir = own_tools()
    if not options.tools_dir:
        options.tools_dir = tools_dir()
        prepare()
    options.tools_dir = os.path.abspath(options.tools_dir)
    os.makedirs(options.expected, exist_ok=True)
    good, bad = play(options, runs)
    built = [line for run in runs for line in run.built]
    if options.forget and built:
        for path in (UNBUILT, TOOLS_DIFFER):
            lines = [line for line in open(path, encoding="utf-8") if line not in built]
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
    if options.failed:
        with open(options.failed, "w", encoding="utf-8") as file:
            file.writelines(f"{step}\n" for run in runs for step in run.failed)
    print(f"{good} recorded" if options.mode == "record" else f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
