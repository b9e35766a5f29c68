"""The one refresher: everybody with a lab is looked up again at the identity service, gets a fresh token, or is out.

JupyterHub itself refreshes only whoever makes a request. This loop does it for labs that nobody looks at: it asks the
authenticator ahead of each token's end and once in every interval, keeps groups as they are there, and stops the labs
of who may not be here any more. Trouble of the service is nobody's fault: labs and sessions go on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyterhub import roles
from jupyterhub.app import JupyterHub
from jupyterhub.user import User
from sqlalchemy.exc import SQLAlchemyError

from . import files, metrics, tokens
from .errors import OperatorError
from .member import MemberSpawner

TICK_S = 0.25
AT_ONCE = 8
"""People who are looked up at the same time."""
LOOK_S = 120
"""Longest that one look may take; the authenticator has shorter limits for each request."""
SHORTEST_S = 1.0
"""Between two looks at the same person, when their token was to be renewed and was not."""
LONGEST_PAUSE_S = 60.0
PRUNE_S = 60.0
CANCEL_S = 20.0
"""Longest that a start which is cut off is waited for."""
log = logging.getLogger("jupyterhub.mlinfn.sessions")


@dataclass(frozen=True)
class Rules:
    """What the site decides. The state file is what `mlinfn status` reads."""

    root: Path
    refresh_s: float
    grace_s: float = 0.0
    login_s: float = 86400.0
    """How long a lab goes on whose owner has no login here that can be read: time to log in for who used it before
    the site took to an identity service, or before its key was replaced."""

    @property
    def state(self) -> Path:
        return self.root / "hub" / "identity-service.json"


@dataclass(frozen=True)
class Look:
    """When a look at somebody began (epoch seconds, as all times here), and what is known since."""

    at: float
    renew_at: float = float("inf")
    failures: int = 0
    """Looks in a row that brought nothing."""
    unexplained: int = 0
    """Of these the last ones, while nothing was known to be wrong with the identity service."""
    haste: float = field(default_factory=lambda: random.uniform(0.1, 0.2))
    """Part of the interval that is left out: people spread, and the promised interval includes the look itself."""


def is_due(look: Look | None, now: float, refresh_s: float) -> bool:
    """Whether somebody is to be looked up. A look in the future means that the clock was put back."""
    return look is None or look.at > now or now >= due_at(look, refresh_s)


def due_at(look: Look, refresh_s: float) -> float:
    """When somebody is to be looked up again."""
    if look.failures:
        return look.at + pause_s(look.failures, refresh_s) * (1 - look.haste)
    renew_at = look.renew_at if look.renew_at > look.at else look.at + SHORTEST_S
    return min(renew_at, look.at + refresh_s * (1 - look.haste))


def pause_s(failures: int, refresh_s: float) -> float:
    """How long to wait after so many failures: 1, 2, 4... up to a minute, and never longer than the interval."""
    return min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S, max(refresh_s, SHORTEST_S))


def apply(user: User, model: Mapping[str, Any]) -> None:
    """The hub knows of this person what the identity service says now, as after a login."""
    if model["name"] != user.name:
        raise ValueError("The identity service gave somebody another name.")
    if model.get("admin") is not None and model["admin"] != user.admin:
        user.admin = model["admin"]
    if model.get("user_info") is not None:
        user.user_info = model["user_info"]
    roles.assign_default_roles(user.db, entity=user)
    if model.get("groups") is not None:
        user.sync_groups(model["groups"])
    user.db.commit()


def labs_of(user: User) -> list[MemberSpawner]:
    """The person's labs that run or start."""
    return [lab for lab in user.spawners.values() if lab.active and lab.pending != "stop"]


class Refresher:
    """Looks people up when they are due, at most AT_ONCE at a time, each by a task of their own."""

    def __init__(self, app: JupyterHub, rules: Rules):
        self.app, self.rules = app, rules
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._busy: dict[str, asyncio.Task] = {}
        self._looks: dict[str, Look] = {}
        self._ends: dict[str, float] = {}  # user name -> when the token in their labs ends
        self._out: dict[str, float] = {}  # user name -> since when; a restart of the hub begins the grace anew
        self._unknown: dict[str, float] = {}  # user name -> since when nobody can tell whether they may stay
        self._told: tuple | None = None
        self._cannot_tell = False
        self._pruned = 0.0

    async def run(self, is_up: Callable[[], bool]) -> None:
        """Never returns, whatever happens to one person. Begins once the hub is up and knows its labs."""
        stumbled = 0
        while True:
            if is_up():
                went_well = await self._tried("The refresher stumbled", self._round(time.time()), otherwise=False)
                stumbled = 0 if went_well else stumbled + 1
            await asyncio.sleep(pause_s(stumbled, self.rules.refresh_s) if stumbled else TICK_S)

    async def _round(self, now: float) -> bool:
        people = {user.name: user for user in list(self.app.users.values()) if labs_of(user)}
        for book in (self._looks, self._ends, self._out, self._unknown):
            for name in book.keys() - people.keys():
                del book[name]
        for name in people.keys() - self._busy.keys() - self.app.authenticator.without_identity:
            if is_due(self._looks.get(name), now, self.rules.refresh_s):
                self._begin(name, self._look_up(people[name]))
            elif self._is_over(name, now):
                self._begin(name, self._stop_all(people[name]))
        metrics.NEXT_EXPIRY.set(min(self._ends.values(), default=0))
        self._prune(now)
        self._tell(self.app.authenticator.trouble, now)
        return True

    def _begin(self, name: str, work: Coroutine) -> None:
        task = asyncio.get_running_loop().create_task(self._tried(f"{name} could not be looked after", work))
        self._busy[name] = task
        task.add_done_callback(lambda _: self._busy.pop(name))

    async def _tried(self, what: str, work: Coroutine, otherwise: Any = None) -> Any:
        """What the work returned, or `otherwise` if it failed: one person's trouble is not the others'.

        The log gets the place and the kind of the error, not its words, which may hold claims or a token.
        """
        try:
            return await work
        except OperatorError as error:
            log.error("%s: %s", what, error)
        except Exception as error:  # noqa: BLE001 - the loop goes on for everybody else
            if isinstance(error, SQLAlchemyError):
                with suppress(SQLAlchemyError):  # it may be what the database cannot do either
                    self.app.db.rollback()
            log.error("%s: %s\n%s", what, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return otherwise

    async def _look_up(self, user: User) -> None:
        async with self._turns:
            result = await self._tried(f"{user.name} could not be looked up", self._ask(user), "error")
        metrics.REFRESHES.labels(result).inc()
        if result in ("error", "trouble"):
            before = self._looks.get(user.name, Look(0))
            unexplained = 0 if self.app.authenticator.trouble else before.unexplained + 1
            self._looks[user.name] = Look(time.time(), failures=before.failures + 1, unexplained=unexplained)
            if unexplained > 1:
                self._note_unknown(user, "Their labs go on. A new login may help.")
        elif result == "out" and self._is_over(user.name, time.time()):
            await self._stop_all(user)

    async def _ask(self, user: User) -> str:
        """What the authenticator's answer came to, once it is put into effect."""
        if "expires" not in (await user.get_auth_state() or {}):
            return self._without_login(user)
        began = time.time()
        found = await asyncio.wait_for(self.app.authenticator.refresh_user(user), LOOK_S)
        if found is not True:
            self._unknown.pop(user.name, None)
        if found is False:
            self._put_out(user)
            return "out"
        if found is not True:
            self._let_in(user, found)
        # From the book, not from the answer: a renewed token is there also when the rest of the look failed.
        auth_state = await user.get_auth_state() or {}
        self._ends[user.name] = auth_state["expires"]
        if found is not True:
            self._looks[user.name] = Look(began, self.app.authenticator.renew_at(auth_state))
        for lab in labs_of(user):  # nothing is awaited between looking at a lab and writing: no file outlives its lab
            if lab.carries_token:
                lab.write_token(auth_state)
        return "trouble" if found is True else "well"

    def _without_login(self, user: User) -> str:
        """What a look comes to at somebody of whom no login is kept that can be read: they are given time for one."""
        hours = f"{self.rules.login_s / 3600:.2g} h"
        self._note_unknown(user, "No login of theirs is kept that can be read: it was by another `login`, or the "
                                 f"secret crypt_key was replaced. Without a new one their labs stop in {hours}.")
        since = self._unknown[user.name] = min(self._unknown[user.name], time.time())
        if time.time() < since + self.rules.login_s:
            return "error"
        self._put_out(user)
        return "out"

    def _note_unknown(self, user: User, why: str) -> None:
        """The log says it once, `mlinfn status` for as long as it is so."""
        if user.name not in self._unknown:
            self._unknown[user.name] = time.time()
            log.error("Whether %s may stay cannot be told. %s", user.name, why)

    def _let_in(self, user: User, model: Mapping[str, Any]) -> None:
        apply(user, model)
        if self._out.pop(user.name, None) is not None:
            log.warning("%s is allowed again; their labs go on", user.name)

    def _put_out(self, user: User) -> None:
        now = time.time()
        self._looks[user.name] = Look(now)
        if user.name in self._out:
            return
        self._out[user.name] = now
        metrics.PEOPLE_OUT.inc()
        when = f"in {self.rules.grace_s:.0f} s" if self.rules.grace_s else "now"
        log.warning("%s is not allowed any more; their labs stop %s", user.name, when)
        apply(user, {"name": user.name, "admin": False, "groups": []})
        user._auth_refreshed = None  # the hub asks at their next request, not when its own interval is over

    def _is_over(self, name: str, now: float) -> bool:
        """Whether the person is out and their grace has passed; a clock that was put back gives no more of it."""
        since = self._out.get(name)
        return since is not None and not since <= now < since + self.rules.grace_s

    async def _stop_all(self, user: User) -> None:
        await asyncio.gather(*(self._stop(user, lab) for lab in labs_of(user) if not lab.pending or lab._spawn_future))
        if not labs_of(user):  # what they start after a new login is another matter
            self._out.pop(user.name, None)

    async def _stop(self, user: User, lab: MemberSpawner) -> None:
        """Marked as JupyterHub marks its own stops, before anything is awaited, so that nobody stops it once more."""
        lab._stop_pending = True
        lab._stop_future = asyncio.ensure_future(self._end(user, lab))
        await lab._stop_future

    async def _end(self, user: User, lab: MemberSpawner) -> None:
        try:
            if starting := lab._spawn_future:  # cut off, as when its owner stops it: it may be waiting for an hour
                starting.cancel()
                await asyncio.wait({starting}, timeout=CANCEL_S)
            # Together: while the proxy is away the route is tried for half a minute, and the lab does not wait for it.
            await asyncio.gather(
                self._tried(f"The route of {user.name} stays", self.app.proxy.delete_user(user, lab.name)),
                self._tried(f"A lab of {user.name} did not stop", user.stop(lab.name)),
            )
        finally:
            lab._stop_future, lab._stop_pending = None, False

    def _prune(self, now: float) -> None:
        """Folders of labs that ended while nobody looked are removed; a lab that is starting keeps its own."""
        if abs(now - self._pruned) < PRUNE_S:
            return
        self._pruned = now
        labs = (lab for user in self.app.users.values() for lab in user.spawners.values() if lab.active)
        for place in tokens.prune(self.rules.root, frozenset(lab.token_folder for lab in labs)):
            log.info("Removed the token of a lab that is gone: %s", place.name)

    def _tell(self, trouble: Any, now: float) -> None:
        """The identity service's state, where it changed: a metric, and what `mlinfn status` reads. The log has it."""
        reason = trouble.reason if trouble else ""
        metrics.IDENTITY_SERVICE_UP.labels(self.app.authenticator.issuer).set(0 if reason else 1)
        if (telling := (reason, sorted(self._unknown))) == self._told:
            return
        since = trouble.since if trouble else now
        state = {"ok": not reason, "reason": reason, "since": since, "unknown": telling[1]}
        try:
            files.replace(self.rules.state, json.dumps(state) + "\n")
            self._told, self._cannot_tell = telling, False
        except OSError as error:  # a full disk, perhaps: the next round tries again
            if not self._cannot_tell:
                log.error("%s is out of date, it cannot be written: %s", self.rules.state, error.strerror)
            self._cannot_tell = True
