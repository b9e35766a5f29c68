"""Small files that are either old or new, never half: written aside, then put in place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace(path: Path, text: str, *, mode: int = 0o600, owner: int = -1) -> None:
    """Put `text` at `path` in one step. Readers see the old content or the new, and nobody else sees either early.

    `owner` is the uid and the gid; -1 leaves it with who runs this.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchown(file.fileno(), owner, owner)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            error.filename = str(path)  # the system names none when a disk is full
        raise


def replace_if_changed(path: Path, text: str, *, mode: int = 0o600, owner: int = -1) -> bool:
    """True if `path` had to be written, because it was missing or held something else."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    replace(path, text, mode=mode, owner=owner)
    return True


def is_tmpfs(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """True if a tmpfs is mounted exactly there."""
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if unescaped(before.split()[4]) == str(folder.resolve()) and after.startswith("tmpfs "):
            return True
    return False


def unescaped(field: str) -> str:
    """A path of /proc/self/mountinfo as it is: there, spaces and the like are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else holds the lock of `path` inside the block. The lock is a file beside it, since `path` is replaced."""
    with open(path.with_name(f".{path.name}.lock"), "a", opener=_private) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
