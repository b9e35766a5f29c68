"""One run on one target: who it is, a snapshot of each kind of data, what may go, a check, a verified restore."""

from __future__ import annotations

import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import OperatorError
from ..settings_backup import KINDS, Kind, is_folder
from . import exported, planning, refusals, sample
from . import state as states
from .place import Place
from .planning import Taken
from .restic import Restic, unread
from .state import State, time_of
from .trouble import Trouble, of_error, plain

log = logging.getLogger("mlinfn.backup")
PATIENCE = "--retry-lock=15m"
"""What needs a target alone waits so long for others, such as restic that somebody started by hand."""
LEFT_FREE = 0.05
"""So much of a disk is left to the people whose files are on it as well."""
HALF_MADE = "already contains keys"
"""What restic says of a repository without a config."""
TOLD = 5
"""So many of the files that could not be read are named."""
Say = Callable[[Mapping[str, Any]], None]
"""Told of each step: {"target": ..., "step": "homes", "percent": 40}."""
Databases = Callable[[], str]
"""Has the hub copy its databases; says why it did not, nothing if it did."""


@dataclass(frozen=True)
class Run:
    """One run on a target, which nobody else of ours works on meanwhile."""

    place: Place
    restic: Restic
    say: Say
    databases: Databases = lambda: ""
    left_free: float = LEFT_FREE
    accept_empty: bool = False
    """Somebody has said that it is right if everything of a kind has gone."""

    @property
    def url(self) -> str:
        """The target."""
        return self.restic.url

    @cached_property
    def machine(self) -> str:
        """The id of this machine."""
        return states.machine(self.place.state)

    def steps(self, state: State) -> Iterator[State]:
        """The state after each thing that went well; the last has everything. Raises Trouble."""
        began = time.monotonic()
        yield (state := replace(state, repository=self.known(state.repository)))
        before = planning.newest(self.ours(state.adopted))
        if not self.accept_empty:
            refusals.emptied(self.url, before, self.place.source)
        self.unlock()
        if state.reason == "full" or self._is_full():
            yield (state := self._room_made(state))
        lacking: list[str] = []
        for kind in (kind for kind in KINDS if self.place.source(kind).is_dir()):
            if kind == "service":  # after the homes: whoever has one in the snapshot has a uid in it as well
                hub = self.place.source(kind) / "hub"
                state = replace(state, stale=self.databases(), exported=exported.oldest(hub))
                lacking = exported.lacking(hub)
            taken = self.snapshot(kind, planning.files_in(before.get(kind, {})))
            yield (state := replace(state, kinds={**state.kinds, kind: taken}))
        yield (state := self._tidied(state))
        yield (state := self._checked(state))
        yield (state := self._verified(state))
        if lacking:
            raise Trouble(self.url, "databases", ", ".join(lacking))
        size, took_s = self._size(), round(time.monotonic() - began, 1)
        state = replace(state, size=size, duration_s=took_s, good=state.begun)
        yield replace(state, ended=_now(), reason="", trouble="", since="")

    def known(self, repository: str) -> str:
        """The repository's id; it is made where there never was one. Raises Trouble if it has gone or is another."""
        self._step("look")
        refusals.no_folder(self.url)
        if not repository:
            self._make()
        there = self.restic.identity()
        if repository and there != repository:
            raise Trouble(self.url, "another")
        return there

    def _make(self) -> None:
        """A repository is there. Asking first whether one is takes minutes where there is not even a bucket for it."""
        try:
            self.restic.create()
        except Trouble as trouble:
            if HALF_MADE in str(trouble) and is_folder(self.url) and has_only_keys(Path(self.url)):
                shutil.rmtree(Path(self.url) / "keys")
                self._make()
            elif HALF_MADE in str(trouble) and not is_folder(self.url):
                raise Trouble(self.url, "unfinished", "if nothing else holds a file, remove `keys` in it, and it is "
                              "made again") from None  # fmt: skip
            elif "already" not in str(trouble):
                raise

    def ours(self, adopted: str) -> list[Mapping[str, Any]]:
        """The snapshots of this instance, the newest last. Raises Trouble if another machine goes on making them."""
        found = [each for each in snapshots(self.restic) if each["hostname"] == self.place.settings.instance]
        refusals.another_machine(self.url, found, self.machine, adopted)
        return found

    def unlock(self) -> None:
        """Locks of the dead are gone.

        Restic knows them by a process that is not there any more, and in containers numbers of processes are taken
        again soon. Whoever locked from a container of ours held the target alone, as we do now: they are dead.
        """
        if lockers := self.restic.lockers():
            are_ours = all(map(self.place.is_ours, lockers))
            self.restic.ask("unlock", *(["--remove-all"] if are_ours else []))

    def snapshot(self, kind: Kind, files: int = 0) -> Taken:
        """What was copied of a kind of data. How far it is, is told by how many files there were before."""
        place = self.place
        words = planning.snapshot_words(kind, place.source(kind), place.settings.instance, self.machine,
                                        place.settings.backup.exclude)  # fmt: skip

        def progress(told: Mapping[str, Any]) -> None:
            self._leave_room()
            self._step(kind, planning.percent(told, files))

        progress({})
        messages = self.restic.ask(*words, progress=progress)
        lost = unread(messages)
        for each in lost[:TOLD]:
            log.warning("%s: not in the snapshot: %s", self.url, plain(each))
        return planning.taken(messages, len(lost))

    def _leave_room(self) -> None:
        """Nothing, unless copies would take the last of the disk that people work on. Raises Trouble, "full"."""
        if self._is_full():
            raise Trouble(self.url, "full", f"{self.left_free:.0%} of the disk are left to people's files")

    def _is_full(self) -> bool:
        """True for a folder on the disk that people work on, of which only what is theirs is left."""
        if not is_folder(self.url) or os.stat(self.url).st_dev != os.stat(self.place.state).st_dev:
            return False
        disk = shutil.disk_usage(self.url)
        return disk.free < self.left_free * disk.total

    def _room_made(self, state: State) -> State:
        """The state without what need not be kept, which goes before the snapshots where there is no room for them."""
        try:
            return self._without_old(state, "--max-repack-size=0")  # packing anew would take room first
        except Trouble as trouble:
            if trouble.reason != "full":
                raise
            raise Trouble(self.url, "full", "not even room to remove what need not be kept; free some there by "
                          "hand") from None  # fmt: skip

    def check(self, *more: str, cached: bool = False) -> None:
        """Nothing if the repository is sound, or what restic's cache has of it. Raises Trouble."""
        self._step("check")
        try:
            where = "--with-cache" if cached else f"--cache-dir={self._scratch}"
            self.restic.ask("check", where, PATIENCE, *more)
        except Trouble as trouble:
            if trouble.reason == "other":
                raise Trouble(self.url, "damaged", str(trouble).partition("(")[2].rstrip(".)")) from None
            raise
        finally:
            sample.removed(self._scratch)

    def _checked(self, state: State) -> State:
        """Reading all lists of files from a target elsewhere takes long, and the cache does not see them decay."""
        is_due = _is_due(state.reread, planning.REREAD_EVERY)
        self.check(cached=not is_due)
        return replace(state, reread=_now()) if is_due else state

    def _tidied(self, state: State) -> State:
        return self._without_old(state) if _is_due(state.tidied, planning.TIDY_EVERY) else state

    def _without_old(self, state: State, *more: str) -> State:
        self._step("tidy")
        try:
            with states.removing(self.place.state, self.url):
                for words in planning.forget_words(self.place.settings.backup, self.place.settings.instance):
                    self.restic.ask(*words, PATIENCE)
                self.restic.ask("prune", PATIENCE, *more)
        except Trouble as trouble:
            if trouble.reason != "busy":
                raise
            return state  # somebody gets files back: it is for the next run
        return replace(state, tidied=_now())

    def _verified(self, state: State) -> State:
        if not _is_due(state.verified, planning.VERIFY_EVERY):
            return state
        self._step("verify")
        count = sample.verify(self.restic, state.kinds.values(), self._scratch, random.Random())
        return replace(state, verified=_now(), verified_files=count)

    @property
    def _scratch(self) -> Path:
        return self.place.state / f"scratch-{states.name_of(self.url)}"

    def _size(self) -> int:
        answers = self.restic.ask("stats", "--mode=raw-data")
        return next((each["total_size"] for each in answers if "total_size" in each), 0)

    def _step(self, name: str, percent: int | None = None) -> None:
        self.say({"target": self.url, "step": name, "percent": percent})


def has_only_keys(repository: Path) -> bool:
    """True if making it was cut off before its config was there, and so before anything was copied into it."""
    return not any(path.is_file() for name in ("data", "index", "snapshots") for path in (repository / name).rglob("*"))


def back_up(place: Place, url: str, say: Say, databases: Databases = lambda: "", accept_empty: bool = False) -> State:
    """The target's state after a run, good or not. Raises Trouble, "busy", if one goes on already."""
    with states.alone(place.state, url) as held:
        state = states.save(place.state, states.load(place.state, url).begins(_now()))
        try:
            run = Run(place, place.restic(url, (held,)), say, databases, accept_empty=accept_empty)
            for reached in run.steps(state):
                state = states.save(place.state, reached)
        except (OperatorError, OSError) as error:
            state = states.save(place.state, state.failed(of_error(url, error), _now()))
        return state


def adopt(run: Run) -> State:
    """The state from which this machine goes on with what is in a target, or anew where nothing is. Raises Trouble."""
    refusals.no_folder(run.url)
    known = states.load(run.place.state, run.url)
    try:
        repository = run.restic.identity()
        there = [each["id"] for each in snapshots(run.restic) if each["hostname"] == run.place.settings.instance]
        known = replace(known, repository=repository, adopted=there[-1] if there else "")
    except Trouble as trouble:
        if trouble.reason != "missing":
            raise
        known = replace(known, repository="", adopted="")
    return states.save(run.place.state, known)


def snapshots(restic: Restic, words: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """Our snapshots in a target, the newest last. Raises Trouble."""
    found = restic.ask("snapshots", "--no-lock", *words)
    return sorted((each for each in found if planning.kind_of(each)), key=lambda each: planning.moment(each["time"]))


def _is_due(last: str, every: timedelta) -> bool:
    then, now = time_of(last), datetime.now(timezone.utc)
    return then is None or then > now or now - then >= every


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
