"""A random part of the newest snapshots, restored to a scratch place and compared byte by byte."""

from __future__ import annotations

import filecmp
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

from .planning import Taken, drawn, escaped, nanoseconds
from .restic import Message, Restic, error_in, errors_in
from .trouble import Trouble, understood

FILES = 5
"""Of each kind of data."""


def verify(restic: Restic, kinds: Iterable[Taken], scratch: Path, chance: random.Random) -> int:
    """How many files were restored and found right; one that was changed since is looked at by its size.

    Raises Trouble, "damaged" for a file that is not what it was.
    """
    count = 0
    for taken in kinds:
        nodes = drawn(restic.stream("ls", taken.snapshot), FILES, chance)
        try:
            said = _restored(restic, taken.snapshot, nodes, scratch) if nodes else ""
            for node in nodes:
                _compared(restic.url, node, scratch, said)
        finally:
            removed(scratch)
        count += len(nodes)
    return count


def _restored(restic: Restic, snapshot: str, nodes: Iterable[Message], scratch: Path) -> str:
    """What restic complains of: the service may give no file to its owner, so it always does; the bytes count."""
    removed(scratch)
    includes = (f"--include={escaped(node['path'])}" for node in nodes)
    said = restic.ask("restore", snapshot, f"--target={scratch}", *includes)
    wrong = [understood(restic.url, 1, error_in(each)) for each in errors_in(said)]
    if serious := [each for each in wrong if each.reason in ("full", "away")]:
        raise serious[0]
    return str(wrong[0]) if wrong else ""


def _compared(url: str, node: Message, scratch: Path, said: str) -> bool:
    """True if the restored file was compared with the one that is there now, False if that has changed."""
    original, copy, size = Path(node["path"]), scratch / node["path"].lstrip("/"), node.get("size", 0)
    restored = copy.stat().st_size if copy.is_file() else -1
    if restored != size:
        raise Trouble(url, "damaged", f"a restored file has {restored} bytes, not {size}. {said}".strip())
    if not _is_still(original, node):
        return False
    filecmp.clear_cache()  # it would know two files by their sizes and times, which were the same the last time too
    try:
        is_same = filecmp.cmp(original, copy, shallow=False)
    except OSError:  # it has gone this moment
        return False
    if not is_same and _is_still(original, node):
        raise Trouble(url, "damaged", "a restored file differs from the one that it is a copy of")
    return is_same


def removed(scratch: Path) -> None:
    """Nothing is there any more; a folder that its owner may not change has to be opened first."""
    for folder, _, _ in os.walk(scratch):
        os.chmod(folder, 0o700)
    if scratch.exists():
        shutil.rmtree(scratch)


def _is_still(path: Path, node: Message) -> bool:
    """True if the file is as it was when it was read: who changes one can set back its mtime, and not its ctime."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return (status.st_size, status.st_ctime_ns) == (node.get("size", 0), nanoseconds(node["ctime"]))
