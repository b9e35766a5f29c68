"""What others have been shown is kept: an edit is on disk before anybody else sees it, and is there after a crash.

jupyter-server-ydoc writes edits to its store beside showing them, and takes the file for right where the two differ at
a start: who typed in the seconds before a crash loses them. Here the store is right, unless somebody changed the file
meanwhile by other means, which the store can tell: it knows what was last saved.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import jupyter_server_ydoc.app
import jupyter_server_ydoc.handlers
from anyio import WouldBlock
from jupyter_server.utils import ensure_async
from jupyter_server_ydoc.rooms import DocumentRoom
from jupyter_server_ydoc.utils import LogLevel, OutOfBandChanges
from pycrdt import create_update_message, merge_updates
from pycrdt.store import YDocNotFound
from tornado.web import HTTPError

LONGEST_UNSAVED_S = 10
"""While people go on typing, files are written all the same this often."""
MOST_AT_ONCE = 200
"""Edits that are kept, and shown, together."""
OPEN: WeakSet[DurableRoom] = WeakSet()
SAVED = "CREATE TABLE IF NOT EXISTS saved (path TEXT, digest TEXT, PRIMARY KEY (path, digest))"


def install() -> None:
    """Documents of the server are of this kind. The extension has no setting for it."""
    jupyter_server_ydoc.app.DocumentRoom = jupyter_server_ydoc.handlers.DocumentRoom = DurableRoom


async def save_all() -> None:
    """What is open is in its file, as far as that can be written."""
    await asyncio.gather(*(room.save_rest() for room in OPEN))


def digest(content: Any) -> str:
    """The same for the same text or notebook, whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class DurableRoom(DocumentRoom):
    """One document that is open, with who has it open as its clients."""

    _unsaved_since: float | None = None
    _has_gap = False
    """Whether some edit could not be kept."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._save_lock = asyncio.Lock()
        OPEN.add(self)

    async def initialize(self) -> None:
        """The document is as it was when it was last seen, or as somebody made the file since."""
        if self.ready:
            return
        content, error = await self._read()
        async with self._update_lock:
            await self._open_store()
            is_known = await self._restored()
            if error:
                await self._put_aside(error, is_known)
            elif not is_known:
                await self._apply_deterministic_source_content(content)
            elif not await self._is_as_saved(content):
                await self._document.aset(content)
            await self._keep_opened(digest(content))
            self.ready = True
        self._emit(LogLevel.INFO, "initialize", "Room initialized")
        if await self._document.aget() != content:
            self._on_document_change("source", None)

    async def _read(self) -> tuple[Any, HTTPError | None]:
        """What the file holds, or why that is not known."""
        try:
            return (await self._file.load_content(self._file_format, self._file_type))["content"], None
        except HTTPError as error:
            return None, error

    async def _put_aside(self, error: HTTPError, is_known: bool) -> None:
        """A file that cannot be read gives way to the document, which is kept: a crash in the middle of a save leaves
        half a notebook. It may be somebody's by other means, so its text stays beside it. Raises `error` where there is
        nothing to put in its place.
        """
        text = (await self._file.load_content("text", "file"))["content"]  # from now on the file may be written
        if not is_known:
            raise error
        if text.strip():
            aside = f"{self._file.path}.unreadable"
            model = {"type": "file", "format": "text", "content": text}
            await ensure_async(self._file._contents_manager.save(model, aside))
            self.log.warning("%s cannot be read; what is in it is put into %s", self._file.path, aside)

    async def _open_store(self) -> None:
        async with self.ystore.start_lock:
            if not self.ystore.started.is_set():
                self.create_task(self.ystore.start())
                await self.ystore.started.wait()
        await self.ystore.db_initialized.wait()
        self.ystore._db._exception_handler = None  # its own logs what failed, and then goes on as if it had not
        # Not lost when the process dies, which is what happens here; only the machine's own end may take some.
        await self.ystore._db.execute("PRAGMA journal_mode = WAL")
        await self.ystore._db.execute("PRAGMA synchronous = NORMAL")
        await self.ystore._db.execute(SAVED)

    async def _restored(self) -> bool:
        try:
            await self.ystore.apply_updates(self.ydoc)
        except YDocNotFound:
            return False
        return True

    async def _is_as_saved(self, content: Any) -> bool:
        """Whether nobody but us wrote the file: it holds what we saved last, or what a crash kept us from saving."""
        if await self._document.aget() == content:
            return True
        async with self.ystore.lock:
            rows = await self.ystore._db.execute("SELECT digest FROM saved WHERE path = ?", (self.ystore.path,))
            return (digest(content),) in await rows.fetchall()

    async def _broadcast_updates(self) -> None:
        """Keeps and shows edits as they come, many together where they come fast."""
        async with self._update_receive_stream as edits:
            async for first in edits:
                update = merge_updates(first, *_waiting(edits))
                await self._keep(update)
                for client in list(self.clients):
                    await client.send(create_update_message(update))

    async def _keep_opened(self, noted: str) -> None:
        """The history of the document, as one update: the store would grow for ever, and its own way to make it short
        loses all.
        """
        try:
            await self._keep_all()
            await self._note(noted)
        except sqlite3.Error as error:  # people can read it, and save it as soon as there is room
            self._has_gap = True
            self.log.error("%s is opened and not kept: %s", self._document.path, error)

    async def _keep(self, update: bytes) -> None:
        """Keeps an edit, and those that could not be kept before: without them it is worth nothing."""
        try:
            await (self._keep_all() if self._has_gap else self.ystore.write(update))
            self._has_gap = False
        except sqlite3.Error as error:  # people can go on; saving the file tells them as well
            self._has_gap = True
            self.log.error("An edit of %s is shown and not kept: %s", self._document.path, error)

    async def _keep_all(self) -> None:
        path = self.ystore.path
        async with self.ystore.lock, self.ystore._db as database:
            for table in ("ycheckpoints", "yupdates"):
                await database.execute(f"DELETE FROM {table} WHERE path = ?", (path,))
            values = (path, self.ydoc.get_update(), None, time.time())
            await database.execute("INSERT INTO yupdates VALUES (?, ?, ?, ?)", values)

    async def _maybe_save_document(self, waiting: asyncio.Task | None) -> None:
        """Saves when nobody has typed for a moment, or has not stopped for long."""
        if waiting is not None:
            waiting.cancel()
        self._unsaved_since = self._unsaved_since or time.monotonic()
        left_s = self._unsaved_since + LONGEST_UNSAVED_S - time.monotonic()
        await asyncio.sleep(max(0, min(self._save_delay or 0, left_s)))
        self._save_to_disc()

    def _save_to_disc(self) -> asyncio.Task:
        """A save that began, also because somebody asked for it. No edit ends it: who asked waits for it."""
        saving = asyncio.ensure_future(self._save())
        self._background_tasks.add(saving)
        saving.add_done_callback(self._background_tasks.discard)
        return saving

    async def _save(self) -> None:
        async with self._save_lock:
            self._unsaved_since = None
            content = await self._document.aget()
            model, noted = {"format": self._file_format, "type": self._file_type, "content": content}, digest(content)
            try:
                await self._note(noted)
                await self._was_saved(await self._file.maybe_save_content(model), noted)
            except OutOfBandChanges:
                await self._on_outofband_change()
            except (OSError, sqlite3.Error, HTTPError, RuntimeError) as error:  # the last: the file was deleted
                self._unsaved_since = time.monotonic()
                self.create_task(self._save_again())
                self.log.error("%s is not saved: %s", self._document.path, error)
                self._emit(LogLevel.ERROR, None, f"{self._document.path} is not saved: {error}")

    async def _save_again(self) -> None:
        """Saves what could not be saved, unless that was done meanwhile."""
        await asyncio.sleep(LONGEST_UNSAVED_S)
        if self in OPEN:
            await self.save_rest()

    def _emit(self, *told: Any) -> None:
        """Tells browsers of the document, unless it has no path any more."""
        with suppress(RuntimeError):
            super()._emit(*told)

    async def _was_saved(self, saved: dict[str, Any] | None, noted: str) -> None:
        if saved:  # else nobody may write the file
            await self._write("DELETE FROM saved WHERE path = ? AND digest != ?", self.ystore.path, noted)
            async with self._update_lock:
                self._document.dirty = False
                self._document.hash = saved["hash"]
        self._emit(LogLevel.INFO, "save", "Content saved.")

    async def _note(self, noted: str) -> None:
        """What the file holds, or is about to, beside what it held before: a crash may come on either side."""
        await self._write("INSERT OR IGNORE INTO saved VALUES (?, ?)", self.ystore.path, noted)

    async def _write(self, statement: str, *values: str) -> None:
        async with self.ystore.lock, self.ystore._db as database:
            await database.execute(statement, values)

    async def stop(self) -> None:
        """What nobody saved yet is saved, and the document forgotten."""
        await self.save_rest()
        OPEN.discard(self)
        await super().stop()
        if self.ystore.started.is_set():
            await self.ystore.stop()

    async def save_rest(self) -> None:
        """The file holds all that was typed, as far as it can be written."""
        if self._unsaved_since is not None or self._save_lock.locked():
            await self._save()


def _waiting(edits: Any) -> list[bytes]:
    """Edits that have come by now."""
    found: list[bytes] = []
    try:
        while len(found) < MOST_AT_ONCE:
            found.append(edits.receive_nowait())
    except WouldBlock:
        pass
    return found
