"""Small files that are either old or new, never half: written aside, then put in place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put `text` at `path` in one step. Readers see the old content or the new, and nobody else sees either early."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def replace_if_changed(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """True if `path` had to be written, because it was missing or held something else."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    replace(path, text, mode=mode)
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else holds the lock of `path` inside the block. The lock is a file beside it, since `path` is replaced."""
    with open(path.with_name(f".{path.name}.lock"), "a", opener=_private) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
