"""When a run does not even begin: each raises Trouble, or does nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..settings_backup import Kind, is_folder
from .planning import files_in, machine_of
from .trouble import Trouble

MANY = 20
"""A kind of data that had so many files does not lose them all in a day."""


def no_folder(url: str) -> None:
    """Refuses a folder that is not there: restic would make it."""
    if is_folder(url) and not os.path.isdir(url):
        raise Trouble(url, "missing", "the folder is not there")


def another_machine(url: str, ours: Sequence[Mapping[str, Any]], machine: str, adopted: str) -> None:
    """Refuses a target that another machine has written to, since this one was told to go on in its place.

    A service that was restored for a trial has the key and the targets of the one that people work on. It would add
    its snapshots to those of the other, and remove some of these.
    """
    if ours and machine_of(ours[-1]) not in ("", machine) and ours[-1]["id"] != adopted:
        raise Trouble(url, "machine", f"the last time at {ours[-1]['time'][:16]}. To go on in its place: mlinfn backup "
                      f"adopt {url}")  # fmt: skip


def emptied(url: str, before: Mapping[Kind, Mapping[str, Any]], source: Callable[[Kind], Path]) -> None:
    """Refuses a kind of data that had many files and has none at all.

    The folder of a disk that is not mounted is empty. Snapshots of it would be good ones, and those before them would
    be forgotten in their time.
    """
    for kind, snapshot in before.items():
        if (count := files_in(snapshot)) >= MANY and _is_empty(source(kind)):
            raise Trouble(url, "emptied", f"{kind}: {count} files in the last snapshot, none now. If that is right: "
                          "mlinfn backup run --accept-empty")  # fmt: skip


def _is_empty(folder: Path) -> bool:
    if not folder.is_dir():
        return True
    with os.scandir(folder) as entries:
        return not any(entries)
