"""Unpacks what it reads, and says what became of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from . import FULL, NO_SPACE, PARTIAL, PLACE, RESTORED, Trouble, placing, tar


def restore(home: str, where: str, source: int) -> dict[str, Any]:
    """What became of the tar that is read from the descriptor `source`, see `main`. Raises Trouble."""
    with placing.opened(home) as above, placing.made(RESTORED, above, RESTORED) as top:
        os.fchdir(top)
    for name in os.listdir("."):
        if name.startswith(PARTIAL):
            _remove(name)
    partial = _partial()
    try:
        not_made = tar.unpack(source, partial)
        placed, kept, refused = placing.place(partial, where)
    finally:
        if os.path.lexists(partial):
            _remove(partial)
    failed = not_made + refused
    return {"files": placed, "kept": kept.count, "kept_names": kept.first, "failed": failed.count,
            "failed_names": failed.first}  # fmt: skip


def _partial() -> str:
    try:
        return Path(tempfile.mkdtemp(prefix=PARTIAL, dir=".")).name
    except PermissionError as error:
        raise Trouble(PLACE, RESTORED) from error


def _remove(folder: str) -> None:
    if Path(folder).is_dir():
        placing.opened_up(folder)
    subprocess.run(["rm", "--recursive", "--force", "--", folder], check=True)


def main() -> None:
    """Nothing, once it is said: {"files", "kept", "kept_names", "failed", "failed_names"}, or {"trouble", "about"}."""
    os.umask(0o077)  # for folders that a tar has not: else modes are as they were
    home, where = sys.argv[1], os.fsdecode(unquote_to_bytes(sys.argv[2]))
    try:
        said = restore(home, where, sys.stdin.fileno())
    except Trouble as trouble:
        said = {"trouble": trouble.word, "about": trouble.about}
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        said = {"trouble": FULL, "about": ""}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
