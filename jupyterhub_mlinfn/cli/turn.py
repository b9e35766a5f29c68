"""One command at a time changes an instance; another one is told which it is.

The lock ends with the command, however that ends. Its file lies beside the root; what is in it only says who has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import typer

from ..errors import OperatorError

PATIENCE_S = 3
"""So long one waits for another, so that quick ones go one after the other."""
LOOK_EVERY_S = 0.1


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
    with open(root.with_name(f".{root.name}.lock"), "a+", opener=functools.partial(os.open, mode=0o600)) as file:
        _lock(file, root)
        file.truncate(0)
        file.write(f"`{who}` (process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _lock(file: TextIO, root: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise OperatorError(f"{_holder(file)} changes what is in {root} at this moment. Let it end, then try "
                                    "again.") from None  # fmt: skip
        time.sleep(LOOK_EVERY_S)


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read() or "Another `mlinfn`"
