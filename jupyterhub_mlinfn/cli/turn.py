"""One command at a time changes an instance; another one is told which it is.

The lock ends with the command, however that ends. Its file lies beside the root; what is in it only says who has it.
On a disk that is full or read-only there may be no file, and then its folder is locked: what mends the disk has a turn.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from ..errors import OperatorError

PATIENCE_S = 3
"""So long one waits for another, so that quick ones go one after the other."""
LOOK_EVERY_S = 0.1
LONGEST_NOTE = 1000
NOBODY_KNOWN = "Another `mlinfn`"


def in_turn(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb, which from now on waits its turn. Its first parameter is Typer's context."""

    @functools.wraps(verb)
    def waiting(context: typer.Context, **options: Any) -> Any:
        with taken(context.obj.settings.root, context.command_path):
            return verb(context, **options)

    return waiting


@contextlib.contextmanager
def taken(root: Path, who: str) -> Iterator[None]:
    """No other command changes the instance with this root. Raises OperatorError where one does."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as ending:
        lock = _opened(root.with_name(f".{root.name}.lock"))
        ending.callback(os.close, lock)
        _lock(lock, root)
        _note(lock, f"`{who}` (process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S})")
        ending.callback(_note, lock, "")
        yield


def _opened(path: Path) -> int:
    """What is locked: the file, or its folder where it cannot be made."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
    return os.open(path if path.exists() else path.parent, os.O_RDONLY)


def _lock(lock: int, root: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise OperatorError(f"{_holder(lock)} changes what is in {root} at this moment. Let it end, then try "
                                    "again.") from None  # fmt: skip
        time.sleep(LOOK_EVERY_S)


def _note(lock: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the lock holds without it
        os.ftruncate(lock, 0)
        os.pwrite(lock, text.encode(), 0)


def _holder(lock: int) -> str:
    try:
        return os.pread(lock, LONGEST_NOTE, 0).decode() or NOBODY_KNOWN
    except IsADirectoryError:
        return NOBODY_KNOWN
