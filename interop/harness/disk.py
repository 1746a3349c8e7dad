"""A disk of its own size for one directory of a case, which can be filled."""

import subprocess

from . import namespaces


class Limited:
    """A directory of limited size, at `path`, and a file in it that takes what is left when it is to be full."""

    def fill(self):
        """Takes all that is left."""
        with open(self.path / "ballast", "wb", buffering=0) as ballast:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    pass

    def make_room(self):
        """Gives it back."""
        (self.path / "ballast").unlink(missing_ok=True)


class Disk(Limited):
    """A file system in memory under `path`. Nobody but the case and its nodes sees it, and it ends with them. Must be made before the
    case starts its first thread."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir(parents=True)
        namespaces.enter(namespaces.MOUNTS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "case", path], check=True)
