"""What people are told of the GPUs: for programs (`GET /hub/api/mlinfn/gpus`) and in words. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from . import line
from .devices import GPUClass
from .ledger import Holder
from .line import Free, Ticket
from .pool import View, Wait


def answer(view: View, free: Free, tickets: Sequence[Ticket], user: str, *,
           with_holders: bool = False) -> dict[str, Any]:  # fmt: skip
    """The contract's answer for this person. `free` are the free slots of each device."""
    told: dict[str, Any] = {
        "classes": class_states(view.classes, free, tickets),
        "mine": [{"server": each.server, "gpus": list(each.uuids), "since": moment(each.since)}
                 for each in view.holders if user and each.user == user],
    }  # fmt: skip
    if with_holders:
        told["holders"] = [{"user": each.user, "server": each.server, "gpus": list(each.uuids)}
                           for each in view.holders]  # fmt: skip
    return told


def class_states(classes: Sequence[GPUClass], free: Free, tickets: Sequence[Ticket]) -> list[dict[str, Any]]:
    """What is there and free of each class. `total` counts devices; `slots` and `free` count labs that fit on them."""
    return [_class_state(each, free, tickets) for each in classes]


def _class_state(gpu_class: GPUClass, free: Free, tickets: Sequence[Ticket]) -> dict[str, Any]:
    return {
        "slug": gpu_class.slug, "title": gpu_class.title, "memory": gpu_class.memory, "kind": gpu_class.kind,
        "total": len(gpu_class.devices), "free": sum(free.get(device.uuid, 0) for device in gpu_class.devices),
        "slots": len(gpu_class.devices) * gpu_class.slots_each, "waiting": line.waiting(tickets, gpu_class),
    }  # fmt: skip


def said(free: int, slots: int, waiting: int, *, shared: bool = False) -> str:
    """How a class stands, such as "1 of 4 free, 2 waiting". The picker's script says the same."""
    places = " places" if shared else ""
    now = f"{free} of {slots}{places} free" if free else f"none of {slots}{places} free"
    return f"{now}, {waiting} waiting" if waiting else now


def waiting_state(wait: Wait, *, show_holders: bool) -> dict[str, Any]:
    """How it stands for who waits, for the page of the start. Names only where the site shows them."""
    held = [{"user": each.user, "since": moment(each.since)} for each in _longest_first(wait.holders)]
    return {
        "position": wait.position, "titles": list(wait.titles), "engine_away": wait.engine_away,
        "since": moment(wait.since), "holders": held if show_holders else [],
    }  # fmt: skip


def _longest_first(holders: Sequence[Holder]) -> list[Holder]:
    return sorted(holders, key=lambda each: each.since)


def moment(seconds: float) -> str | None:
    """Seconds since the epoch as a time in UTC, None where they are not known."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


def by_slug(states: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Such states of classes by their slug."""
    return {each["slug"]: each for each in states}
