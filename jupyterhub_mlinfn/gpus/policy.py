"""How many GPUs who may have. Leases with an end will be decided here as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import UserError
from ..settings import GPUs
from .devices import GPUClass
from .ledger import Holder
from .request import Request


@dataclass(frozen=True)
class Limits:
    """What holds for one member: the site's limits, or the highest of their groups'."""

    per_server: int
    per_person: int
    classes: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    """Group -> most that its members may hold together."""


def limits_of(groups: Iterable[str], gpus: GPUs) -> Limits:
    """The limits of a member of these groups."""
    mine = {name: gpus.groups[name] for name in groups if name in gpus.groups}
    named = {slug for each in mine.values() for slug in each.classes}
    classes = {slug: max(each.classes[slug] for each in mine.values() if slug in each.classes) for slug in named}
    return Limits(
        _highest((each.per_server for each in mine.values()), gpus.per_server),
        _highest((each.per_person for each in mine.values()), gpus.per_person),
        {**gpus.classes, **classes},
        {name: each.total for name, each in mine.items() if each.total is not None},
    )


def _highest(values: Iterable[int | None], otherwise: int) -> int:
    return max((value for value in values if value is not None), default=otherwise)


def most(gpu_class: GPUClass | None, limits: Limits) -> int:
    """Most devices that one request may name: of a class, or of any kind for None."""
    allowed = min(limits.per_server, limits.per_person, *limits.totals.values())
    return allowed if gpu_class is None else min(allowed, limits.classes.get(gpu_class.slug, allowed))


def open_classes(request: Request, mine: Sequence[Holder], limits: Limits,
                 classes: Sequence[GPUClass]) -> tuple[GPUClass, ...]:  # fmt: skip
    """Of the classes that could serve the request, those of which a member who holds these may have so many more."""
    held = [uuid for holder in mine for uuid in holder.uuids]
    return tuple(each for each in request.wants(classes)
                 if len(held) + request.count <= limits.per_person
                 and sum(d.uuid in held for d in each.devices) + request.count <= _most_held(each, limits))  # fmt: skip


def _most_held(gpu_class: GPUClass, limits: Limits) -> int:
    return min(limits.per_person, limits.classes.get(gpu_class.slug, limits.per_person))


def check(request: Request, mine: Sequence[Holder], limits: Limits, classes: Sequence[GPUClass],
          asked: int = 0) -> None:  # fmt: skip
    """Nothing if a member who holds these, and waits for `asked` more, may have this as well.

    Raises UserError with what is allowed. What others of a group hold is no reason to refuse: for that one waits.
    """
    held = sum(len(holder.uuids) for holder in mine)
    if request.count > min([limits.per_server, *limits.totals.values()]):
        raise UserError(f"{request.count} GPUs are more than one lab may have. You may ask for up to "
                        f"{most(None, limits)}.", reason="gpu_limit")  # fmt: skip
    if held + asked + request.count > limits.per_person:
        waits = f", wait for {asked} more" if asked else ""
        raise UserError(f"You hold {held} GPUs{waits} and may hold {limits.per_person} in all. Ask for up to "
                        f"{max(0, limits.per_person - held - asked)}, or stop another lab of yours.",
                        reason="gpu_limit")  # fmt: skip
    if not open_classes(request, mine, limits, classes):
        allowed = ", ".join(f"{most(each, limits)} of {each.slug}" for each in classes if most(each, limits))
        raise UserError(f"gpus {request} is more than you may have of that kind. You may have: {allowed or 'none'}.",
                        reason="gpu_limit")  # fmt: skip
