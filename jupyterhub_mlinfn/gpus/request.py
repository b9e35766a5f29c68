"""What a member asks for in words of the contract: `0`, `2` (any kind), `a100-1g.10gb:1`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from .devices import Device, GPUClass

_WORDS = re.compile(r"(?:(?P<slug>[a-z0-9][a-z0-9.-]*):)?(?P<count>0|[1-9][0-9]{0,2})")


@dataclass(frozen=True)
class Request:
    """So many devices of one class; of whichever class lends whole cards if `slug` is empty."""

    count: int
    slug: str = ""

    def __str__(self) -> str:
        return f"{self.slug}:{self.count}" if self.slug else str(self.count)

    def wants(self, classes: Sequence[GPUClass]) -> tuple[GPUClass, ...]:
        """The classes that could ever serve it, in their order."""
        open_to = [each for each in classes if (each.slug == self.slug if self.slug else each.kind == "whole")]
        return tuple(each for each in open_to if len(each.devices) >= self.count)


@dataclass(frozen=True)
class Lease:
    """What was given: devices of one class, and how many slots are taken on each."""

    devices: tuple[Device, ...] = ()
    gpu_class: GPUClass | None = None
    slots: int = 1

    @property
    def uuids(self) -> tuple[str, ...]:
        """Ids of the devices, for the container's label."""
        return tuple(device.uuid for device in self.devices)


NOTHING = Lease()
"""The lease of a lab without a GPU."""


def parse(words: str, classes: Sequence[GPUClass]) -> Request:
    """The request in these words. Raises UserError with what is possible."""
    found = _WORDS.fullmatch(words)
    if not found:
        raise UserError(f"gpus {_short(words)} is not a number of GPUs. {possible(classes)}")
    request = Request(int(found["count"]), found["slug"] or "")
    if request.slug and request.slug not in {each.slug for each in classes}:
        raise UserError(f"This machine lends no GPU of the kind {_short(request.slug)}. {possible(classes)}")
    if request.count and not request.wants(classes):
        raise UserError(f"gpus {words} is more than this machine has. {possible(classes)}")
    return request if request.count else Request(0)


def possible(classes: Sequence[GPUClass]) -> str:
    """A sentence with the words that this machine could serve."""
    if not classes:
        return "This machine has no GPU to lend: ask for 0."
    most = max((len(each.devices) for each in classes if each.kind == "whole"), default=0)
    said = ["0", *([f"1 to {most} of any kind"] if most else [])]
    said += [f"{each.slug}:1 to {each.slug}:{len(each.devices)}" if len(each.devices) > 1 else f"{each.slug}:1"
             for each in classes]  # fmt: skip
    return f"Possible are: {', '.join(said)}."


def _short(text: str) -> str:
    plain = "".join(char if char.isprintable() else "?" for char in text[:41])
    return plain[:40] + "…" if len(plain) > 40 else plain or "(empty)"
