"""Who is next: tickets in the order in which they were taken, and whom the free devices serve now. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .devices import GPUClass
from .ledger import ALL_SLOTS, Holder
from .request import Lease, Request


@dataclass(frozen=True)
class Ticket:
    """One server's place in the line."""

    number: int
    user: str
    server: str
    request: Request
    since: float
    """When it was taken, in seconds since the epoch."""
    slugs: frozenset[str] = frozenset()
    """The classes for which it stands in line."""
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """Each group of theirs -> the names of its members."""

    def wants(self, classes: Sequence[GPUClass]) -> tuple[GPUClass, ...]:
        """The classes that could serve it, in their order."""
        return tuple(each for each in self.request.wants(classes) if each.slug in self.slugs)


Free = Mapping[str, int]
"""UUID -> slots that are free."""


def free_slots(classes: Iterable[GPUClass], taken: Iterable[Holder]) -> dict[str, int]:
    """The free slots of each device, never below 0: settings may change while labs run."""
    free = {device.uuid: each.slots_each for each in classes for device in each.devices}
    for holder in taken:
        for uuid in holder.uuids:
            if uuid in free:
                free[uuid] = 0 if holder.slots == ALL_SLOTS else max(0, free[uuid] - holder.slots)
    return free


class Limited(Protocol):
    """What limits leave to a ticket; see quotas.py."""

    def left(self, ticket: Ticket, wanted: Sequence[GPUClass]) -> tuple[GPUClass, ...]:
        """Of the classes that the ticket wants, those of which it may have so many now."""

    def give(self, ticket: Ticket, lease: Lease) -> None:
        """From now on the ticket's person holds these as well."""


def grants(tickets: Sequence[Ticket], classes: Sequence[GPUClass], free: Free, limits: Limited) -> dict[int, Lease]:
    """Who gets what now, by ticket number.

    First in, first out for each class: a ticket that cannot be served holds back later ones in every class that it
    wants, so that a request for two cards is not starved by requests for one. One that asks for more devices than a
    class has at present, because some have disappeared, holds nobody back there, and so does one that is over a limit.
    """
    left, held_back, given = dict(free), set(), {}
    for ticket in tickets:
        wanted = limits.left(ticket, ticket.wants(classes))
        lease = next(filter(None, (_from(each, ticket.request.count, left) for each in wanted
                                   if each.slug not in held_back)), None)  # fmt: skip
        if lease is None:
            held_back |= {each.slug for each in wanted}
            continue
        given[ticket.number] = lease
        limits.give(ticket, lease)
        for uuid in lease.uuids:
            left[uuid] -= lease.slots
    return given


def _from(gpu_class: GPUClass, count: int, left: Free) -> Lease | None:
    """So many devices of the class, those with most slots free first; None if there are not enough."""
    open_ones = [device for device in gpu_class.devices if left[device.uuid] > 0]
    chosen = sorted(open_ones, key=lambda device: -left[device.uuid])[:count]
    return Lease(tuple(chosen), gpu_class) if len(chosen) == count else None


def position(ticket: Ticket, tickets: Iterable[Ticket]) -> int:
    """1 for who is next, counting only those who want something of the same."""
    return 1 + sum(other.number < ticket.number and bool(ticket.slugs & other.slugs) for other in tickets)


def waiting(tickets: Iterable[Ticket], gpu_class: GPUClass) -> int:
    """How many wait for this class, those included that any kind would do for."""
    return sum(gpu_class.slug in ticket.slugs for ticket in tickets)
