"""`POST /hub/api/mlinfn/export`: the hub's databases as whole copies in hub/export/, for who makes backups.

The hub makes them, because it alone may write beside its databases, and it makes them when it is asked, so that a
snapshot holds the state of its own moment and not that of a timer.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from jupyterhub.apihandlers.base import APIHandler
from tornado.web import HTTPError

from .backup.exported import DATABASES, FOLDER

PATH = r"/api/mlinfn/export"
SCOPE = "custom:mlinfn:export"


def copy_all(hub: Path) -> list[str]:
    """Names of the databases in the hub's folder, each copied whole. Raises sqlite3.Error if one cannot be."""
    folder = hub / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    names = sorted(path.name for path in hub.glob(DATABASES))
    for gone in {path.name for path in folder.iterdir()} - set(names):
        (folder / gone).unlink()
    for name in names:
        _copy(hub / name, folder / name)
    return names


def _copy(source: Path, copy: Path) -> None:
    """Who reads the old copy at this moment goes on with it."""
    partial = copy.with_name(f".{copy.name}")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with closing(sqlite3.connect(source, timeout=30)) as book, closing(sqlite3.connect(partial)) as new:
        book.backup(new)
        (answer,) = new.execute("PRAGMA quick_check").fetchone()
    if answer != "ok":
        raise sqlite3.DatabaseError(f"{source} is damaged: {answer}")
    os.replace(partial, copy)


class ExportHandler(APIHandler):
    """Copies the databases, for a service with the scope for that."""

    SUPPORTED_METHODS = ("POST",)

    def initialize(self, place: Path, turn: asyncio.Lock) -> None:
        """Remembers where the databases are, and whose turn it is."""
        self.place, self.turn = place, turn

    async def post(self) -> None:
        """The names of what was copied.

        Who: the scope `custom:mlinfn:export`; the service `backup` has it
        Answer: `{"databases": ["identity.sqlite", "jupyterhub.sqlite"]}`
        Otherwise: 500 if one could not be copied
        """
        if not self.has_scope(SCOPE):
            raise HTTPError(403, "Only the service that makes backups may ask for this.")
        async with self.turn:
            try:
                names = await asyncio.to_thread(copy_all, self.place)
            except (OSError, sqlite3.Error) as error:
                self.log.error("The databases could not be copied: %s", error)
                raise HTTPError(500, "The hub's databases could not be copied; its log says why.") from None
        self.write({"databases": names})


def handlers(hub: Path) -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    return [(PATH, ExportHandler, {"place": hub, "turn": asyncio.Lock()})]
