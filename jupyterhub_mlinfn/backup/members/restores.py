"""What is given back at the moment, and what was in the last day. In memory: all of it ends with the service."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ...errors import OperatorError, UserError
from ..restic import Restic
from ..trouble import Trouble
from . import archive, upload
from .areas import Area
from .asker import Asker
from .browsing import path_of
from .copies import Copies, Copy, written
from .rights import Walk
from .stopping import Stop
from .trees import FILE, FOLDER, Node

AT_ONCE = 2
"""Restores of all people together; each takes what restic needs for its index."""
KEPT_S, KEPT = 86400, 5
"""How long one is shown after its end, and how many of a person's."""
COUNTING, RUNNING, DONE, FAILED, STOPPED = "counting", "running", "done", "failed", "stopped"
ONE_RUNS = "You are getting files back already. Wait until that is done, or stop it."
OTHERS_RUN = "Other people get files back at the moment. Try again in a few minutes."
NONE_SUCH = "There is no such restore."
TIDYING = "The copies are looked through at the moment. Try again in a quarter of an hour."
UNREADABLE = "The copy could not be read to its end, so nothing was put in place. Try again, or pick another date."
ATTRIBUTE = ("A file in it has an extended attribute with '=' in its name, which cannot come together with others. "
             "Restore the files and folders in it one by one.")  # fmt: skip
BROKEN = "Something went wrong that is not your doing. Try again, or ask whoever looks after this service."
SAID: Mapping[str, str] = {"busy": TIDYING, "attribute": ATTRIBUTE}
log = logging.getLogger("mlinfn.backup")


@dataclass(frozen=True)
class Order:
    """What is to be given back."""

    area: Area
    copy: Copy
    parts: Sequence[str]
    node: Node

    @property
    def into(self) -> str:
        """The folder for it, below that of the date."""
        inner = self.parts if self.node.type == FOLDER else self.parts[:-1]
        return "/".join((self.area.name, *inner))

    @property
    def date(self) -> str:
        """The folder of the date."""
        return self.copy.time.strftime("%Y-%m-%dT%H.%M")


@dataclass
class Restore:
    """One, as far as it has come."""

    id: str
    name: str
    """Whose it is."""
    order: Order
    state: str = COUNTING
    bytes: int = 0
    of_bytes: int = 0
    files: int = 0
    words: str = ""
    ended: float = 0
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What the hub said at the end."""
    stop: Stop = field(default_factory=Stop)

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in (COUNTING, RUNNING)

    def passed(self, files: int, count: int) -> None:
        """Files, and bytes in them, have gone to the hub."""
        self.files, self.bytes = self.files + files, self.bytes + count

    def end(self, state: str, words: str = "") -> None:
        """It has ended."""
        self.words, self.ended, self.state = words, time.monotonic(), state

    def as_data(self) -> dict[str, Any]:
        """For the page."""
        kept, failed = (self.answer.get(name, 0) for name in ("kept", "failed"))
        names = {name: self.answer.get(name, []) for name in ("kept_names", "failed_names")}
        return {"id": self.id, "place": self.order.area.name, "path": "/".join(self.order.parts),
                "time": written(self.order.copy.time), "state": self.state, "bytes": self.bytes,
                "of_bytes": self.of_bytes, "files": self.answer.get("files", self.files), "kept": kept,
                "failed": failed, **names, "folder": self.answer.get("folder", ""), "words": self.words}  # fmt: skip


class Restores:
    """All of them: one for a person at a time, few at once."""

    def __init__(self, hub: str, copies: Copies):
        self.hub, self.copies = hub, copies
        self._lock = threading.Lock()
        self._all: dict[str, Restore] = {}

    def begin(self, asker: Asker, order: Order) -> str:
        """The id of one that has begun. Raises UserError where it has to wait for another."""
        with self._lock:
            going = [each.name for each in self._all.values() if each.goes_on]
            if asker.name in going:
                raise UserError(ONE_RUNS, reason="busy")
            if len(going) >= AT_ONCE:
                raise UserError(OTHERS_RUN, reason="full")
            restore = Restore(secrets.token_hex(8), asker.name, order)
            self._all[restore.id] = restore
        threading.Thread(target=self._run, args=(restore, asker.token), daemon=True).start()
        return restore.id

    def of(self, name: str) -> list[dict[str, Any]]:
        """Those of a person, the newest first."""
        return [each.as_data() for each in self._those(name)]

    def stop(self, name: str, id_: str) -> None:
        """It ends soon, if it has not. Raises UserError if the person has none of this id."""
        found = [each for each in self._those(name) if each.id == id_]
        if not found:
            raise UserError(NONE_SUCH, reason="absent")
        found[0].stop.ask()

    def end(self) -> None:
        """All end soon."""
        for each in list(self._all.values()):
            each.stop.ask()

    def _those(self, name: str) -> list[Restore]:
        with self._lock:
            now = time.monotonic()
            self._all = {each.id: each for each in self._all.values() if each.goes_on or now - each.ended < KEPT_S}
            mine = [each for each in reversed(self._all.values()) if each.name == name]
            for each in [each for each in mine if not each.goes_on][KEPT:]:
                del self._all[each.id]
                mine.remove(each)
            return mine

    def _run(self, restore: Restore, token: str) -> None:
        state, words = FAILED, BROKEN  # of what nobody thought of, the traceback is in the log
        try:
            self._give(restore, token)
            state, words = DONE, ""
        except (UserError, OperatorError) as error:
            words = words_of(error)
        finally:
            is_stopped = restore.stop.is_asked and state != DONE
            restore.end(*((STOPPED, "Stopped.") if is_stopped else (state, words)))

    def _give(self, restore: Restore, token: str) -> None:
        with self.copies.reading(restore.order.copy, restore.stop) as restic:
            self._read(restore, restic, token)

    def _read(self, restore: Restore, restic: Restic, token: str) -> None:
        order = restore.order
        source = archive.Source(restic, order.copy, path_of(order.area, order.parts), restore.stop)
        is_folder = order.node.type == FOLDER
        restore.of_bytes = archive.size(source, Walk(order.area.reader)) if is_folder else order.node.size
        restore.state = RUNNING
        words = {"date": order.date, "into": order.into, "bytes": restore.of_bytes}
        with closing(_pieces(source, restore)) as pieces:
            restore.answer = upload.send(self.hub, token, words, pieces, restore.stop)


def _pieces(source: archive.Source, restore: Restore) -> Iterator[bytes]:
    order = restore.order
    if order.node.type == FOLDER:
        return archive.folder(source, Walk(order.area.reader), restore.passed)
    return archive.file(source, order.node, restore.passed) if order.node.type == FILE else archive.link(order.node)


def words_of(error: UserError | OperatorError) -> str:
    """What the member is told of it; the log has the rest."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Trouble) and error.reason in SAID:
        return SAID[error.reason]
    log.warning("A member did not get files back. %s", error)
    return UNREADABLE
