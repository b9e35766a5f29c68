"""Which GPUs one person may pick, in the contract's words, and how the picker shows them. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .devices import GIB, GPUClass
from .policy import Limits, most
from .state import said


@dataclass(frozen=True)
class Pill:
    """One number to press. `also`: other words that mean the same here, such as "1" where there is one class."""

    key: str
    label: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One class on the form, or any kind where `slug` is empty. Without pills it is not offered to this person."""

    slug: str
    title: str
    about: str
    pills: tuple[Pill, ...] = ()
    shared: bool = False
    state: str = ""
    is_busy: bool = False
    """True if none is free."""


@dataclass(frozen=True)
class Shown:
    """What the form says of GPUs."""

    rows: tuple[Row, ...] = ()
    wait: str = ""
    """Longest wait in line, such as "30 minutes"."""
    is_simulated: bool = False
    trouble: str = ""
    """A sentence if nobody knows what is free."""


def picks(classes: Sequence[GPUClass], limits: Limits) -> tuple[tuple[str, str], ...]:
    """(key, title) of everything that this person may ask for, "0" first; nothing if that would be all."""
    found = [("0", "None"), *((str(number), f"{number} of any kind") for number in _any_kind(classes, limits))]
    for each in classes:
        found += [(f"{each.slug}:{number}", f"{number} {each.title}") for number in _of_class(each, limits)]
    return tuple(found) if len(found) > 1 else ()


def _of_class(gpu_class: GPUClass, limits: Limits) -> range:
    return range(1, min(most(gpu_class, limits), len(gpu_class.devices)) + 1)


def _any_kind(classes: Sequence[GPUClass], limits: Limits) -> range:
    """Numbers that some class of whole cards can serve."""
    return range(1, max((len(_of_class(each, limits)) for each in _whole(classes)), default=0) + 1)


def _whole(classes: Sequence[GPUClass]) -> list[GPUClass]:
    return [each for each in classes if each.kind == "whole"]


def shown(classes: Sequence[GPUClass], limits: Limits, states: Mapping[str, Mapping[str, Any]], *, wait: str,
          is_simulated: bool = False) -> Shown:  # fmt: skip
    """How the form shows these classes. `states`: slug -> the contract's numbers; empty if Docker does not say."""
    open_whole = [each for each in _whole(classes) if _of_class(each, limits)]
    rows = [_row(each, limits, states.get(each.slug), alone=open_whole == [each]) for each in classes]
    if len(open_whole) > 1:
        rows.insert(0, _any_row(open_whole, limits, states))
    trouble = "" if states or not classes else "Docker does not answer, so nobody knows which GPUs are free."
    return Shown(tuple(rows), _in_words(wait), is_simulated, trouble)


def _in_words(duration: str) -> str:
    number, unit = duration[:-1], {"s": "second", "m": "minute", "h": "hour", "d": "day"}[duration[-1]]
    return f"{number} {unit}{'s' * (number != '1')}"


def _row(gpu_class: GPUClass, limits: Limits, state: Mapping[str, Any] | None, *, alone: bool) -> Row:
    shared = gpu_class.kind == "shared"
    now = said(state["free"], state["slots"], state["waiting"], shared=shared) if state else ""
    pills = tuple(Pill(f"{gpu_class.slug}:{number}", str(number), (str(number),) if alone else ())
                  for number in _of_class(gpu_class, limits))  # fmt: skip
    return Row(gpu_class.slug, gpu_class.title, about(gpu_class), pills, shared, now,
               bool(state) and not state["free"])  # fmt: skip


def _any_row(classes: Sequence[GPUClass], limits: Limits, states: Mapping[str, Mapping[str, Any]]) -> Row:
    pills = tuple(Pill(str(number), str(number)) for number in _any_kind(classes, limits))
    return Row("", "Any of these", f"Whichever is free first: {' or '.join(each.title for each in classes)}.", pills)


def about(gpu_class: GPUClass) -> str:
    """What a device of the class is, for who has never heard of time slicing or MIG."""
    size = f"{gpu_class.memory / GIB:.0f} GB"
    memory = f"{size} of memory. " if gpu_class.memory and size not in gpu_class.title else ""
    if gpu_class.kind == "shared":
        others = gpu_class.slots_each - 1
        return f"{memory}Time-shared with up to {others} other{'s' * (others > 1)}; its memory is not kept apart."
    if gpu_class.kind == "slice":
        return f"{memory}A slice of a card, kept apart from its other slices."
    return f"{memory}A whole card, yours alone."
