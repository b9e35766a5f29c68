"""The snapshots of this instance in all its targets. A target that is away is left alone for a while."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from ...errors import OperatorError, UserError
from ...settings_backup import Kind
from .. import state as states
from ..place import Place
from ..planning import kind_of, moment
from ..restic import Restic
from ..trouble import Trouble
from .stopping import Stop

ID = re.compile(r"[0-9a-f]{64}")
KEPT_S = 60
"""How long a list of snapshots counts."""
AWAY_S = 120
"""How long a target that did not answer is not asked."""
ANSWER_S = 20
TIDIES_S, LOOK_S = 540, 1
"""How long somebody waits while old copies are removed, and how often they look."""
FIRST_TO_GO = ("choom", "--adjust=1000", "--")
"""Where memory is short, what looks for a member ends before what makes copies."""
NONE_SUCH = "There is no such copy. Load the page again, and pick another date."
AWAY = "The copies cannot be reached at the moment. Try again in a few minutes."
log = logging.getLogger("mlinfn.backup")


@dataclass(frozen=True)
class Copy:
    """One snapshot of one kind of data."""

    url: str
    snapshot: str
    kind: Kind
    root: str
    """Where the data lay."""
    time: datetime


def written(moment: datetime) -> str:
    """A time for the page, to the second, with its zone."""
    return moment.isoformat(timespec="seconds")


class Copies:
    """All of them, by target, asked for anew once a minute at most."""

    def __init__(self, place: Place, away_s: float = AWAY_S):
        self.place, self.away_s = place, away_s
        self._targets = {url: _Target() for url in place.settings.backup.targets}

    def of(self, kind: Kind) -> list[Copy]:
        """Those of a kind in the first target that has any, the newest first. Raises UserError if none answers."""
        away = 0
        for url in self._ordered():
            try:
                if found := [each for each in self._listed(url) if each.kind == kind]:
                    return found
            except OperatorError:
                away += 1
        if away == len(self._targets):
            raise UserError(AWAY, reason="away")
        return []

    def one(self, kind: Kind, snapshot: str) -> Copy:
        """That snapshot of that kind. Raises UserError if there is none, in the same words whatever else it may be."""
        away = False
        for url in self._ordered() if ID.fullmatch(snapshot) else ():
            try:
                found = [each for each in self._listed(url) if (each.kind, each.snapshot) == (kind, snapshot)]
            except OperatorError:
                away = True
                continue
            if found:
                return found[0]
        raise UserError(AWAY, reason="away") if away else UserError(NONE_SUCH, reason="absent")

    def restic(self, copy: Copy) -> Restic:
        """How to read it. Raises OperatorError."""
        return replace(self.place.restic(copy.url), before=FIRST_TO_GO)

    @contextmanager
    def reading(self, copy: Copy, stop: Stop) -> Iterator[Restic]:
        """How to read it, for as long as that takes: nothing is removed from its target meanwhile. May raise Trouble.

        A lock of restic's could not be made on a full target, and would outlive who is killed.
        """
        with ExitStack() as stack:
            end = time.monotonic() + TIDIES_S
            while True:
                try:
                    held = stack.enter_context(states.reading(self.place.state, copy.url))
                    break
                except Trouble:
                    if stop.is_asked or time.monotonic() > end:
                        raise
                    time.sleep(LOOK_S)
            yield replace(self.restic(copy), inherited=(held,))

    def look_again(self, copy: Copy) -> None:
        """What is known of its target is asked for anew: something that should be there was not."""
        self._targets[copy.url].until = 0

    def _ordered(self) -> list[str]:
        """The targets, those last whose last run did not end well."""
        return sorted(self._targets, key=lambda url: bool(states.load(self.place.state, url).reason))

    def _listed(self, url: str) -> list[Copy]:
        """Its snapshots, the newest first. Raises OperatorError."""
        target = self._targets[url]
        with target.lock:  # whoever else wants to know waits for this answer
            if target.until < time.monotonic():
                target.found, wait_s = self._asked(url)
                target.until = time.monotonic() + wait_s
            if target.found is None:
                raise Trouble(url, "away")
            return target.found

    def _asked(self, url: str) -> tuple[list[Copy] | None, float]:
        """Its snapshots, None if they cannot be had, and how long to believe that."""
        instance = self.place.settings.instance
        try:
            # It reads a few small files, each whole or not at all: no lock has to keep others from their work.
            said = self.place.restic(url).ask("snapshots", "--no-lock", f"--host={instance}", limit_s=ANSWER_S)
        except OperatorError as error:
            log.warning("Members cannot look into copies. %s", error)
            return None, self.away_s
        found = [Copy(url, each["id"], kind, each["paths"][0], moment(each["time"]).astimezone()) for each in said
                 if (kind := kind_of(each)) and each["hostname"] == instance]  # fmt: skip
        return sorted(found, key=lambda copy: copy.time, reverse=True), KEPT_S


class _Target:
    """What is known of one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.found: list[Copy] | None = None
