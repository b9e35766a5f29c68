"""What the limits leave to those who wait, while GPUs are given out in the order of the line. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..settings import GPUs
from .devices import GPUClass
from .ledger import Holder
from .line import Ticket
from .policy import Limits, limits_of, open_classes
from .request import Lease


class Quotas:
    """Good for one round of giving out. `holders` are all who hold or were promised something.

    A limit that is reached holds back who it is about, and not the line: others pass. Who waits for the total of a
    group holds back that group's later requests, so that a request for two is not starved by requests for one.
    """

    def __init__(self, gpus: GPUs, holders: Iterable[Holder]):
        self.gpus, self.holders = gpus, list(holders)
        self.reached: dict[int, str] = {}
        """Number of a ticket -> a sentence on the limit that keeps it waiting."""
        self._awaited: set[str] = set()

    def left(self, ticket: Ticket, wanted: Sequence[GPUClass]) -> tuple[GPUClass, ...]:
        """Of the classes that the ticket wants, those of which it may have so many now."""
        limits = limits_of(ticket.groups, self.gpus)
        full = self._full(ticket, limits) if wanted else ()
        self._awaited |= set(full)
        mine = [each for each in self._others(ticket) if each.user == ticket.user]
        found = () if full else open_classes(ticket.request, mine, limits, wanted)
        if wanted and not found:
            self.reached[ticket.number] = _sentence(full, limits)
        return found

    def give(self, ticket: Ticket, lease: Lease) -> None:
        """From now on the ticket's person and their groups hold these as well."""
        self.holders.append(Holder("", lease.uuids, lease.slots, ticket.user, ticket.server))

    def _full(self, ticket: Ticket, limits: Limits) -> tuple[str, ...]:
        """The groups whose total does not allow it now, or is waited for by somebody who came earlier."""
        others = self._others(ticket)
        held = {group: sum(len(each.uuids) for each in others if each.user in ticket.groups[group])
                for group in limits.totals}  # fmt: skip
        return tuple(group for group, total in limits.totals.items()
                     if group in self._awaited or held[group] + ticket.request.count > total)  # fmt: skip

    def _others(self, ticket: Ticket) -> list[Holder]:
        """All holders but this server itself, whose container of before goes before the next one comes."""
        return [each for each in self.holders if (each.user, each.server) != (ticket.user, ticket.server)]


def _sentence(full: Sequence[str], limits: Limits) -> str:
    if not full:
        return "You hold as many as you may: it goes on when you stop another lab of yours."
    said = " and ".join(f"members of {group} may hold {limits.totals[group]} together" for group in full)
    return f"{said[0].upper()}{said[1:]}: it goes on when one of them stops a lab."
