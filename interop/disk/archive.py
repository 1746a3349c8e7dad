"""A data directory as one small file."""

import tarfile
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent / "fixtures"
NAMES = ("clean", "killed", "older")
LEFT_OUT = {".lock"}


def folder(name):
    """Where a fixture and what is recorded of it lie."""
    return FIXTURES / name


def path(name):
    """The packed directory."""
    return folder(name) / "data.tar.xz"


def pack(home, name):
    """Packs both log directories, without owners and times."""
    folder(name).mkdir(parents=True, exist_ok=True)

    def plain(entry):
        if Path(entry.name).name in LEFT_OUT:
            return None
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(path(name), "w:xz", preset=9) as out:
        for data in ("data", "data2"):
            out.add(home / data, data, filter=plain)


def unpack(name, home):
    """Unpacks a fixture into a new directory."""
    home.mkdir(parents=True)
    with tarfile.open(path(name)) as packed:
        packed.extractall(home, filter="data")
