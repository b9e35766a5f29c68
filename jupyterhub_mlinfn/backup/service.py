"""The service: each target in its turn, on a thread of its own, so that one that is away holds up no other."""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPException

from . import state as states
from .place import Place
from .planning import RETRY, next_run
from .state import State, time_of
from .target import Say, back_up
from .trouble import Trouble

log = logging.getLogger("mlinfn.backup")
LOOK_S = 5
EXPORT_S = 120
HUB_STARTS_S = 60
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask_for_databases(place: Place, patience_s: float = HUB_STARTS_S) -> str:
    """Empty once the hub has copied its databases, else why it has not. Snapshots go on with the copies of before."""
    end = time.monotonic() + patience_s
    while (trouble := _asked(place)) and time.monotonic() < end:  # it may have been started with us
        time.sleep(LOOK_S)
    if trouble:
        log.warning("%s", trouble)
    return trouble


def _asked(place: Place) -> str:
    if not place.hub:
        return ""
    try:
        headers = {"Authorization": f"token {place.token}"}
        request = urllib.request.Request(f"{place.hub}/mlinfn/export", method="POST", headers=headers)
        with DIRECT.open(request, timeout=EXPORT_S):
            return ""
    except (OSError, HTTPException) as error:
        return f"The hub did not copy its databases ({getattr(error, 'reason', error)}): those of before are taken."


def run(place: Place, url: str, say: Say, accept_empty: bool = False) -> State:
    """The target's state after a run, with fresh copies of the databases. Raises Trouble, "busy"."""
    return back_up(place, url, say, lambda: ask_for_databases(place), accept_empty)


class Service:
    """Runs as scheduled until it is told to end."""

    def __init__(self, place: Place, look_s: float = LOOK_S):
        self.place, self.look_s, self.beat = place, look_s, time.monotonic()
        self._ended = threading.Event()
        self._threads = ThreadPoolExecutor(max(1, len(self.targets)), "backup")
        self._going: dict[str, Future] = {}
        self._said: dict[str, str] = {}

    @property
    def targets(self) -> tuple[str, ...]:
        """What the settings name."""
        return self.place.settings.backup.targets

    def states(self) -> list[State]:
        """What is known of each target."""
        return [states.load(self.place.state, url) for url in self.targets]

    def go_on(self) -> None:
        """Start what is due, again and again."""
        while not self._ended.is_set():
            for url in self.targets:
                self.step(url, datetime.now(self.place.zone))
            self.beat = time.monotonic()
            self._ended.wait(self.look_s)

    def step(self, url: str, now: datetime) -> None:
        """Start the target's run if it is its turn. Waits for nothing."""
        going = self._going.get(url)
        if going is not None and not going.done():
            return
        known = states.load(self.place.state, url)
        # A run that did not end was killed: it is as one that failed.
        failed = bool(known.reason) or not known.ended
        turn = next_run(self.place.settings.backup.schedule, time_of(known.begun), failed, now)
        if turn <= now:
            self._going[url] = self._threads.submit(self._run, url)

    def end(self) -> None:
        """Nothing is started any more."""
        self._ended.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, url: str) -> None:
        try:
            state = run(self.place, url, lambda told: None)
            self._tell(url, state.reason, state.trouble, state)
            return
        except Trouble as trouble:  # somebody runs it by hand
            log.info("%s", trouble)
        except Exception:  # the outermost loop of a target: whatever it is, the next run comes
            log.exception("A run on %s ended in a way that nobody thought of", url)
        self._ended.wait(RETRY.total_seconds())  # its state may not say that it began

    def _tell(self, url: str, reason: str, trouble: str, state: State) -> None:
        """Trouble is said when it begins, and when it is over."""
        if reason and self._said.get(url) != reason:
            log.warning("%s It is tried again.", trouble)
        elif not reason:
            log.info("%s: good after %.0f s, %s files.", url, state.duration_s,
                     sum(each.files for each in state.kinds.values()))
        self._said[url] = reason
