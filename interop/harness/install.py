"""Installs what the cases need on a machine that has only a compiler, Python, Java and Node.js. All of it once."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent
ROOT = INTEROP.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
VENV = TARGET / "interop-venv"

PACKAGES = {  # command -> Debian package
    "kcat": "kcat",
    "java": "openjdk-17-jre-headless",
    "javac": "openjdk-17-jdk-headless",
    "mvn": "maven",
    "node": "nodejs",
    "npm": "npm",
}


def everything():
    """Installs all that is missing; returns the Python interpreter that has the client libraries."""
    commands()
    node_modules()
    kafka_jars()
    return str(python_environment())


def commands():
    """The commands of `PACKAGES`, by apt-get where they are missing."""
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = sudo + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]
    quiet(apt + ["update"])
    quiet(apt + ["install", "--no-install-recommends", *missing])


def python_environment():
    """A virtual environment with the pinned clients of requirements.txt; made again when the pins change."""
    wanted = INTEROP / "requirements.txt"
    python = VENV / "bin" / "python"
    stamp = VENV / ".stamp"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest and python.exists():
        return python
    say("installing the Python clients")
    shutil.rmtree(VENV, ignore_errors=True)
    quiet([sys.executable, "-m", "venv", str(VENV)])
    quiet([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(wanted)])
    stamp.write_text(digest)
    return python


def node_modules():
    """kafkajs, as package-lock.json pins it."""
    folder = INTEROP / "node"
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".stamp"
    if stamp.exists() and stamp.read_text() == lock:
        return
    say("installing kafkajs")
    quiet(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
    stamp.write_text(lock)


def kafka_jars():
    """The jars of Apache Kafka, into the user's cache; returns the folder."""
    got = subprocess.run([str(INTEROP / "kafka" / "kafka"), "get"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if got.returncode != 0:
        raise SystemExit("interop: could not fetch Kafka's jars with mvn")
    return Path(got.stdout.split()[-1])


def streams_program():
    """Compiles the Kafka Streams application; returns the command that starts an instance, without its arguments."""
    home, out = kafka_jars(), TARGET / "interop-streams"
    quiet(["javac", "--release", "17", "-cp", f"{home / 'lib'}/*", "-d", out, INTEROP / "streams" / "StreamsWork.java"])
    options = ["-Xmx256M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={INTEROP / 'streams' / 'log4j2.properties'}"]
    return ["java", *options, "-cp", f"{out}:{home / 'lib'}/*", "StreamsWork"]


def quiet(command, cwd=None):
    """Runs a command; shows its output, and ends the run, only when it fails."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"interop: this failed: {' '.join(map(str, command))}")


def say(text):
    """A line of progress."""
    print(f"interop: {text}", file=sys.stderr, flush=True)
