"""The pool: who holds what, who waits, and the one way to get a GPU, `async with pool.claim(...)`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import UserError
from ..settings import GPUs, seconds_of
from . import line, policy
from .devices import Device, GPUClass, classes_of
from .ledger import Holder, holders, needs_a_look
from .line import Ticket
from .quotas import Quotas
from .request import NOTHING, Lease, Request, possible
from .tickets import BETWEEN_SIGNS_S, Tickets

BETWEEN_LOOKS_S = 1.0
"""How often who waits looks whether a GPU became free elsewhere; our own stops say so at once."""


class EngineAway(Exception):
    """The Engine did not answer. Nothing is free then."""


class Engine(Protocol):
    """What the pool asks Docker. Both raise EngineAway."""

    async def containers(self) -> Sequence[Mapping[str, Any]]:
        """The Engine's list of all containers."""

    async def inspect(self, container: str) -> Mapping[str, Any] | None:
        """Everything about one; None if it is gone."""


@dataclass(frozen=True)
class Claimant:
    """Who asks, for which server. `groups`: each group of theirs -> the names of its members."""

    user: str
    server: str = ""
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """The GPUs and who holds them, as they were at one moment (`at`: of the monotonic clock)."""

    at: float
    classes: tuple[GPUClass, ...]
    holders: tuple[Holder, ...]
    promised: Mapping[int, Holder] = field(default_factory=dict)
    """What was promised when the look began: a container that was created meanwhile is not among the holders yet."""


@dataclass(frozen=True)
class Wait:
    """What who waits is told. `engine_away` if Docker does not answer, so that nothing can be known."""

    position: int
    titles: tuple[str, ...]
    holders: tuple[Holder, ...]
    engine_away: bool = False
    since: float = 0
    """When the place was taken, in seconds since the epoch."""
    limit: str = ""
    """A sentence on the limit that is reached, if that is what has to be waited for."""

    def sentence(self, show_holders: bool) -> str:
        """How it stands, for who waits."""
        if self.engine_away:
            return "Waiting for a GPU. Docker does not answer at the moment, so nobody knows which are free."
        who = sorted({holder.user or "another program" for holder in self.holders}) if show_holders else ()
        held = f" Held by {', '.join(who)}." if who else ""
        place = "you are next" if self.position == 1 else f"{self.position - 1} before you"
        limit = f" {self.limit}" if self.limit else ""
        return f"Waiting for a GPU ({' or '.join(self.titles) or 'none is there at present'}): {place}.{held}{limit}"


class Pool:
    """One for each process. All claims go through one lock; Docker's containers say what is taken."""

    def __init__(self, engine: Engine, devices: Callable[[], Sequence[Device]], tickets: Tickets, gpus: GPUs):
        self.engine, self.devices, self.tickets, self.gpus = engine, devices, tickets, gpus
        self._lock = asyncio.Lock()
        self._awake: dict[int, Ticket] = {}
        self._given: dict[int, Lease] = {}
        self._reserved: dict[int, Holder] = {}
        self._inspected: dict[str, Mapping[str, Any]] = {}
        self._view: View | None = None
        self._changed_at = 0.0
        self._kept_at = time.monotonic()
        self._news = asyncio.Event()

    @property
    def line(self) -> tuple[Ticket, ...]:
        """Who waits now, first the next."""
        return tuple(self._awake[number] for number in sorted(self._awake))

    @asynccontextmanager
    async def claim(self, who: Claimant, request: Request,
                    tell: Callable[[Wait], None] = lambda wait: None) -> AsyncIterator[Lease]:  # fmt: skip
        """The devices, ours until the block's end; inside it a container with their label has to be created.

        Waits in line as long as the site allows; `tell` hears how it stands. Raises UserError for what may not be had,
        and when the wait was in vain. Whoever is cancelled keeps the place for a while, which `leave` gives up.
        """
        if not request.count:
            yield NOTHING
            return
        ticket = await self._join(who, request)
        try:
            yield await self._granted(ticket, tell)
        finally:
            for book in (self._awake, self._given, self._reserved):
                book.pop(ticket.number, None)
            self.changed()

    def leave(self, user: str, server: str) -> None:
        """Their place in line is given up."""
        for ticket in [each for each in self.line if (each.user, each.server) == (user, server)]:
            del self._awake[ticket.number]
        self.tickets.leave(user, server)
        self.changed()

    def changed(self) -> None:
        """Whoever waits looks again at once: a lab has stopped, a place has become free, or a device was found."""
        self._changed_at = time.monotonic()
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, view: View, at_most_s: float) -> None:
        """Returns once something has changed since this look, or after so long."""
        if self._changed_at <= view.at:
            await _first(self._news.wait(), at_most_s)

    async def look(self, oldest_s: float = 0.0) -> View:
        """Who holds what, at most so old. Raises EngineAway."""
        view, now = self._view, time.monotonic()
        if view and view.at > self._changed_at and now - view.at <= oldest_s:
            return view
        devices, promised = tuple(self.devices()), dict(self._reserved)
        containers = await self.engine.containers()
        await self._inspect([each["Id"] for each in containers if needs_a_look(each)])
        found = holders(containers, self._inspected, devices)
        self._view = View(now, classes_of(devices, self.gpus), found, promised)
        return self._view

    def free(self, view: View) -> dict[str, int]:
        """The free slots of each device, without those promised to starts under way."""
        return line.free_slots(view.classes, self._all(view))

    async def _inspect(self, ids: Sequence[str]) -> None:
        """What a container was given never changes, so each is looked at once."""
        self._inspected = {known: self._inspected[known] for known in ids if known in self._inspected}
        for unknown in [each for each in ids if each not in self._inspected]:
            if (found := await self.engine.inspect(unknown)) is not None:
                self._inspected[unknown] = found

    async def _join(self, who: Claimant, request: Request) -> Ticket:
        try:
            view = await self.look(BETWEEN_LOOKS_S)
        except EngineAway:
            raise UserError("Docker does not say which GPUs are free. Try again in a minute.",
                            reason="engine") from None  # fmt: skip
        mine, limits = self._mine(view, who), policy.limits_of(who.groups, self.gpus)
        if not request.wants(view.classes):
            raise UserError(f"gpus {request} cannot be had now. {possible(view.classes)}")
        policy.check(request, mine, limits, view.classes, self._asked(who))
        slugs = frozenset(each.slug for each in policy.open_classes(request, mine, limits, view.classes))
        ticket = replace(self.tickets.take((who.user, who.server), request, slugs, time.time()), groups=who.groups)
        self._awake[ticket.number] = ticket
        return ticket

    def _mine(self, view: View, who: Claimant) -> tuple[Holder, ...]:
        """What they hold with other servers; this one's container, if there still is one, goes before the next."""
        return tuple(each for each in self._all(view) if each.user == who.user and each.server != who.server)

    def _asked(self, who: Claimant) -> int:
        """How many they wait for with other servers."""
        return sum(each.request.count for each in self.line if each.user == who.user and each.server != who.server)

    def _all(self, view: View) -> tuple[Holder, ...]:
        """Who holds or was promised something; a start whose container is there already counts once."""
        shown = {(holder.user, holder.server, holder.uuids) for holder in view.holders}
        promised = {**view.promised, **self._reserved}.values()
        return (*view.holders, *(each for each in promised if (each.user, each.server, each.uuids) not in shown))

    async def _granted(self, ticket: Ticket, tell: Callable[[Wait], None]) -> Lease:
        """The lease, when it is this ticket's turn."""
        end = time.monotonic() + seconds_of(self.gpus.wait)
        while ticket.number in self._awake or ticket.number in self._given:
            news = self._news
            if lease := await self._turn(ticket, tell):
                self.tickets.leave(ticket.user, ticket.server)
                return lease
            if time.monotonic() > end:
                self.tickets.leave(ticket.user, ticket.server)
                raise UserError(f"No GPU became free within {self.gpus.wait}. Nothing was started; ask again, or ask "
                                "for a lab without a GPU.", reason="gpu_wait")  # fmt: skip
            self._keep()
            await _first(news.wait(), BETWEEN_LOOKS_S)
        raise UserError("You left the line for a GPU.", reason="gpu_left")

    def _keep(self) -> None:
        """The book hears that all places are still wanted, from whoever comes by first: a look may take its time."""
        if time.monotonic() - self._kept_at > BETWEEN_SIGNS_S:
            self._kept_at = time.monotonic()
            self.tickets.keep(self._awake, time.time())

    async def _turn(self, ticket: Ticket, tell: Callable[[Wait], None]) -> Lease | None:
        """The lease if the line and the free devices allow it now. Whoever looks serves all who are next with it."""
        async with self._lock:
            if ticket.number not in self._given:
                try:
                    view = await self.look(BETWEEN_LOOKS_S / 2)
                except EngineAway:
                    tell(Wait(0, (), (), engine_away=True, since=ticket.since))
                    return None
                quotas = Quotas(self.gpus, self._all(view))
                self._give(line.grants(self.line, view.classes, self.free(view), quotas))
                if ticket.number not in self._given:
                    tell(replace(self._told(ticket, view), limit=quotas.reached.get(ticket.number, "")))
        return self._given.get(ticket.number)

    def _give(self, granted: Mapping[int, Lease]) -> None:
        for number, lease in granted.items():
            ticket = self._awake.pop(number)
            self._given[number] = lease
            self._reserved[number] = Holder("", lease.uuids, lease.slots, ticket.user, ticket.server, time.time())

    def _told(self, ticket: Ticket, view: View) -> Wait:
        wanted = ticket.wants(view.classes)
        uuids = {device.uuid for each in wanted for device in each.devices}
        theirs = tuple(holder for holder in view.holders if uuids & set(holder.uuids))
        return Wait(line.position(ticket, self.line), tuple(each.title for each in wanted), theirs, since=ticket.since)


async def _first(waited: Awaitable[Any], at_most_s: float) -> None:
    """Returns when it happens, or after so long."""
    task = asyncio.ensure_future(waited)
    await asyncio.wait([task], timeout=at_most_s)
    task.cancel()
