"""The disk faults that Thalweg and Apache Kafka are compared by; see `disks`."""

import os
import shutil
import subprocess

from . import frames, wire
from .disks import Fault, batch, name_of

ALL = []


def fault(name, *bases, **options):
    """Registers what a function does to a place before the node starts; once for each way in which the node had ended."""

    def register(function):
        for base in bases or ("stopped", "killed"):
            ALL.append(Fault(f"{name}, {base}", base, harm=function, **options))
        return function

    return register


def partition_fault(name):
    """A fault of one partition's directory, of which many are tried with one start."""
    return fault(name, shared=True)


@partition_fault("nothing")
def nothing(place):
    del place


def flip(path, at):
    """Turns one byte around."""
    with open(path, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))


def cut(path, length):
    os.truncate(path, path.stat().st_size + length if length < 0 else length)


@partition_fault("the last segment ends inside of a batch")
def torn(place):
    cut(place.segment(-1), -5000)


@partition_fault("the last segment has garbage at its end")
def garbage(place):
    with open(place.segment(-1), "ab") as log:
        log.write(b"\x17" * 3000)


@partition_fault("the last segment has a wrong byte in its fourth batch")
def flipped(place):
    flip(place.segment(-1), place.batch_at(-1, 3) + 500)


@partition_fault("the last segment is empty")
def emptied(place):
    cut(place.segment(-1), 0)


@partition_fault("the last segment is missing")
def without_last(place):
    place.segment(-1).unlink()


@partition_fault("the middle segment has a wrong byte")
def flipped_middle(place):
    flip(place.segment(1), place.batch_at(1, 3) + 500)


@partition_fault("the middle segment ends inside of a batch")
def torn_middle(place):
    cut(place.segment(1), -5000)


@partition_fault("the middle segment has a batch of no length")
def nonsense_middle(place):
    with open(place.segment(1), "r+b") as log:
        log.seek(place.batch_at(1, 3) + 8)
        log.write(frames.i32(0))


@partition_fault("the middle segment is missing")
def without_middle(place):
    for suffix in (".log", ".index", ".timeindex"):
        place.segment(1).with_suffix(suffix).unlink() if suffix == ".log" else (place.partition / f"{100:020}{suffix}").unlink()


@fault("the middle segment has a wrong byte, and no recovery point is known", "killed")
def flipped_middle_recovered(place):
    flip(place.segment(1), place.batch_at(1, 3) + 500)
    (place.b / "recovery-point-offset-checkpoint").unlink()


for kind in (".index", ".timeindex"):
    for which, number in (("first", 0), ("last", -1)):

        @partition_fault(f"the {kind} of the {which} segment is missing")
        def missing(place, number=number, kind=kind):
            place.segment(number, kind).unlink()

        @partition_fault(f"the {kind} of the {which} segment is empty")
        def empty(place, number=number, kind=kind):
            cut(place.segment(number, kind), 0)

        @partition_fault(f"the {kind} of the {which} segment has a length that no index has")
        def odd(place, number=number, kind=kind):
            place.segment(number, kind).write_bytes(b"\0" * 13)

        @partition_fault(f"the {kind} of the {which} segment is full of ones")
        def ones(place, number=number, kind=kind):
            place.segment(number, kind).write_bytes(b"\xff" * 24)


@partition_fault("the .txnindex of the first segment has a length that no index has")
def odd_txns(place):
    place.segment(0, ".txnindex").write_bytes(b"\0" * 33)


@partition_fault("the .txnindex of the last segment ends a transaction before it begins")
def early_txns(place):
    entry = frames.i16(0) + frames.i64(7) + frames.i64(260) + frames.i64(210) + frames.i64(300)
    place.segment(-1, ".txnindex").write_bytes(entry)


@partition_fault("the newest .snapshot is damaged")
def snapshot(place):
    flip(max(place.partition.glob("*.snapshot")), 12)


@partition_fault("the newest .snapshot is empty")
def snapshot_empty(place):
    cut(max(place.partition.glob("*.snapshot")), 0)


@partition_fault("there is no .snapshot")
def no_snapshot(place):
    for path in place.partition.glob("*.snapshot"):
        path.unlink()


for name, content in (("malformed", "0\n1\nx y\n"), ("empty", ""), ("missing", None), ("of another version", "7\n0\n")):

    def put(path, content=content):
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)

    @fault(f"the leader-epoch-checkpoint is {name}", "killed")
    def epochs(place, put=put):
        put(place.partition / "leader-epoch-checkpoint")

    for file in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint", "cleaner-offset-checkpoint"):

        if name not in ("malformed", "of another version") and file[:3] not in ("rec", "log"):
            continue

        @fault(f"the {file} is {name}", "killed")
        def checkpoint(place, put=put, file=file):
            for folder in (place.a, place.b) if file.startswith("log-start") else (place.b,):
                put(folder / file)


@fault("the recovery point is beyond the end", "killed")
def beyond(place):
    (place.b / "recovery-point-offset-checkpoint").write_text(f"0\n1\n{place.data} 0 5000\n")


@fault("the log start is beyond the end", "killed")
def start_beyond(place):
    (place.b / "log-start-offset-checkpoint").write_text(f"0\n1\n{place.data} 0 5000\n")


@fault(".kafka_cleanshutdown is empty", "stopped")
def empty_mark(place):
    for folder in (place.a, place.b):
        (folder / ".kafka_cleanshutdown").write_text("")


@fault("quorum-state is malformed", "killed")
def quorum(place):
    (place.metadata / "quorum-state").write_text("{")


@fault("quorum-state is empty", "killed")
def quorum_empty(place):
    (place.metadata / "quorum-state").write_text("")


@fault("quorum-state is missing", "killed")
def quorum_missing(place):
    (place.metadata / "quorum-state").unlink()


def newest_snapshot(place):
    return max(place.metadata.glob("*.checkpoint"))


@fault("the newest metadata snapshot has a wrong byte", "killed")
def metadata_snapshot(place):
    flip(newest_snapshot(place), newest_snapshot(place).stat().st_size // 2)


@fault("the newest metadata snapshot is cut", "killed")
def metadata_snapshot_cut(place):
    cut(newest_snapshot(place), -20)


@fault("the newest metadata snapshot is empty", "killed")
def metadata_snapshot_empty(place):
    cut(newest_snapshot(place), 0)


@fault("the metadata log ends inside of a batch", "killed")
def metadata_torn(place):
    cut(max(place.metadata.glob("*.log")), -3)


@fault("the meta.properties of the second directory is missing", "stopped")
def no_meta(place):
    (place.b / "meta.properties").unlink()


@fault("the meta.properties of the metadata directory is missing", "stopped")
def no_meta_first(place):
    (place.a / "meta.properties").unlink()


def edit_meta(place, change):
    path = place.b / "meta.properties"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text("\n".join(filter(None, map(change, lines))) + "\n")


for what, key, value in (
    ("another cluster.id", "cluster.id", "AAAAAAAAAAAAAAAAAAAAAw"),
    ("another node.id", "node.id", "9"),
    ("an unknown version", "version", "7"),
    ("a directory.id that is none", "directory.id", "zzz"),
):

    @fault(f"the meta.properties of the second directory has {what}", "stopped")
    def meta(place, key=key, value=value):
        edit_meta(place, lambda line: f"{key}={value}" if line.startswith(key) else line)


@fault("the meta.properties of the second directory has no directory.id", "stopped")
def meta_without_id(place):
    edit_meta(place, lambda line: "" if line.startswith("directory.id") else line)


@fault("both directories have the same directory.id", "stopped")
def meta_twice(place):
    shutil.copy(place.a / "meta.properties", place.b / "meta.properties")


@fault("the meta.properties of the second directory is empty", "stopped")
def meta_empty(place):
    cut(place.b / "meta.properties", 0)


for name, content in (
    ("missing", None),
    ("empty", ""),
    ("malformed", "hello\n"),
    ("of another topic id", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAw"),
):

    @fault(f"partition.metadata is {name}", "killed")
    def partition_metadata(place, content=content):
        path = place.partition / "partition.metadata"
        path.unlink() if content is None else path.write_text(content)


@fault("there are directories of a topic that does not exist", "killed")
def stray(place):
    shutil.copytree(place.partition, place.b / "ghost-0")
    (place.b / "ghost-0" / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAw")
    (place.b / "empty-3").mkdir()


@fault("there are directories and files of others", "stopped")
def others(place):
    (place.b / "notes").write_text("hello")
    (place.b / "lost-file-0").write_text("hello")
    (place.b / "one-two.log").write_text("hello")
    (place.b / "x.tmp").write_text("hello")


@fault("there is a directory that is none of a partition", "stopped")
def junk(place):
    (place.b / "junk").mkdir()


@fault("there are directories of deleted topics, of moves and of strays", "stopped")
def leftovers(place):
    (place.b / f"gone-0.{'0' * 31}1-delete").mkdir()
    (place.b / f"ghost-0.{'0' * 31}2-future").mkdir()
    (place.b / f"ghost-0.{'0' * 31}3-stray").mkdir()


@partition_fault("a file with an unknown name is in a partition's directory")
def unknown(place):
    (place.partition / "README").write_text("hello")
    (place.partition / "00000000000000000100.log.deleted").write_text("hello")
    (place.partition / "00000000000000000100.index.cleaned").write_text("hello")
    (place.partition / "00000000000000000777.index").write_bytes(b"\0" * 16)


@fault("a partition is in both directories", "stopped")
def twice(place):
    shutil.copytree(place.partition, place.a / place.partition.name)


@fault("the directory of a partition is missing", "stopped")
def partition_missing(place):
    shutil.rmtree(place.partition)


@fault("the directory of a partition is empty", "stopped")
def partition_empty(place):
    shutil.rmtree(place.partition)
    place.partition.mkdir()


@fault("the second directory is missing", "stopped", "killed")
def dir_missing(place):
    shutil.rmtree(place.b)


@fault("the second directory is a file", "stopped")
def dir_is_file(place):
    shutil.rmtree(place.b)
    place.b.write_text("")


@fault("the metadata directory is a file", "stopped")
def metadata_dir_is_file(place):
    shutil.rmtree(place.a)
    place.a.write_text("")


# Those that need root: other file systems in the place of the second directory.


def mounted(*command):
    """Puts a file system into the place of the second directory, with all that was there; gives what undoes it."""

    def mount(place):
        kept = place.home / "kept"
        place.b.rename(kept)
        place.b.mkdir()
        image = place.home / "image"
        if "ext4" in command:
            with open(image, "wb") as file:
                file.truncate(64 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", *command, image, place.b], check=True)
        shutil.rmtree(place.b / "lost+found", ignore_errors=True)  # Kafka does not start with such a directory
        shutil.copytree(kept, place.b, dirs_exist_ok=True)
        return lambda: subprocess.run(["umount", "-l", place.b], check=False)

    return mount


TMPFS, EXT4 = ("-t", "tmpfs", "-o", "size=12m"), ("-t", "ext4", "-o", "loop,errors=remount-ro")


@fault("the second directory is read-only from the start", "stopped")
def read_only(place):
    undo = mounted("-t", "tmpfs")(place)
    subprocess.run(["mount", "-o", "remount,ro", place.b], check=True)
    return undo


def until_refused(place, node, found, label):
    """Produces to `data` until that is refused; what was said is told."""
    with frames.Connection(node.address) as connection:
        for number in range(BEYOND, BEYOND + 400):
            error, _ = wire.produce(connection, place.data, batch(number))
            if error:
                found[label] = name_of(error)
                return
    found[label] = "never"


BEYOND = 30


def fills(place, node, found):
    with frames.Connection(node.address) as connection:
        wire.produce(connection, place.data, batch(28))
        wire.produce(connection, place.data, batch(29))
    until_refused(place, node, found, "when full")


def turns_read_only(place, node, found):
    device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", place.b], check=True, capture_output=True, text=True).stdout.strip()
    with open(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error", "w") as trigger:
        trigger.write("test")
    with frames.Connection(node.address) as connection:
        wire.produce(connection, place.data, batch(28))
        wire.produce(connection, place.data, batch(29))
    until_refused(place, node, found, "when read-only")


ALL.append(Fault("the second directory becomes full", "stopped", harm=mounted(*TMPFS), live=fills))
ALL.append(Fault("the second directory turns read-only", "stopped", harm=mounted(*EXT4), live=turns_read_only))
