"""GPUs as plain values: devices, the classes that they form, and what the site's settings make of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import OperatorError
from ..settings import GPUs

Kind = Literal["whole", "slice", "shared"]
_MAKERS = re.compile(r"^(?:(?:NVIDIA|Tesla|GeForce|Quadro)\s+)+", re.IGNORECASE)
_BUILD = re.compile(r"^(?:\d+G[Bi]+|SXM\d*|PCIE?|NVL|HBM\d\w*)$", re.IGNORECASE)
GIB = 2**30


@dataclass(frozen=True)
class Device:
    """One thing that can be lent: a card, or a MIG slice of one."""

    uuid: str
    """NVML's, GPU-... or MIG-...: the only name that stays the same."""
    model: str
    """As NVML names it, such as NVIDIA A100-SXM4-80GB."""
    memory: int
    """Bytes."""
    index: int = -1
    """Of the card, as Docker and nvidia-smi count; -1 if not known. A slice has its card's."""
    profile: str = ""
    """Of a slice, such as 1g.10gb; empty for a card."""
    parent: str = ""
    """UUID of a slice's card; empty for a card."""
    cdi: str = ""
    """What the Engine calls it through CDI, such as nvidia.com/gpu=GPU-...; empty if it does not know it."""
    nodes: tuple[str, ...] = ()
    """Device nodes that a container which holds it sees; empty if not known."""
    number: int = -1
    """Of a slice on its card, as nvidia-smi counts; -1 for a card, and if not known."""
    instance: int = -1
    """Of a slice, the number of its GPU instance, which DCGM goes by; -1 for a card, and if not known."""


@dataclass(frozen=True)
class GPUClass:
    """Devices that are as good as each other."""

    slug: str
    title: str
    memory: int
    kind: Kind
    devices: tuple[Device, ...]
    slots_each: int = 1
    """How many labs one device is lent to at the same time."""


def slug_of(model: str, profile: str = "") -> str:
    """A short name for a model: `NVIDIA A100-SXM4-80GB` is a100-sxm4-80gb, its slices are a100-1g.10gb."""
    plain = re.sub(r"[^a-z0-9.]+", "-", _MAKERS.sub("", model).lower()).strip("-.")
    if not profile:
        return plain
    return f"{plain.split('-')[0]}-{re.sub(r'[^a-z0-9.]+', '-', profile.lower()).strip('-.')}"


def title_of(device: Device) -> str:
    """What members read, such as "A100 80 GB" or "A100 slice 1g.10gb"."""
    words = re.split(r"[\s-]+", _MAKERS.sub("", device.model))
    family = " ".join(word for word in words if not _BUILD.match(word)) or device.model
    memory = f" {device.memory / GIB:.0f} GB" if device.memory else ""
    return f"{family} slice {device.profile}" if device.profile else f"{family}{memory}"


def classes_of(devices: Iterable[Device], gpus: GPUs) -> tuple[GPUClass, ...]:
    """The classes that the site lends, whole cards first, then by memory, the largest first. Reserved ones are not."""
    groups: dict[str, list[Device]] = {}
    for device in devices:
        if device.uuid not in gpus.reserve and device.parent not in gpus.reserve:
            groups.setdefault(slug_of(device.model, device.profile), []).append(device)
    made = [_class(slug, tuple(sorted(found, key=lambda d: (d.index, d.uuid))), gpus) for slug, found in groups.items()]
    return tuple(sorted(made, key=lambda each: (each.kind == "slice", -each.memory, each.slug)))


def _class(slug: str, devices: tuple[Device, ...], gpus: GPUs) -> GPUClass:
    first, slots = devices[0], gpus.share.get(slug, 1)
    kind = "slice" if first.profile else "shared" if slots > 1 else "whole"
    return GPUClass(slug, gpus.names.get(slug) or title_of(first), first.memory, kind, devices, slots)


def check(devices: Iterable[Device], gpus: GPUs) -> None:
    """Nothing if the settings fit this machine. Raises OperatorError with everything that does not.

    Where no GPU was found at all nothing is checked: the driver may be down, and labs without a GPU start all the same.
    """
    devices = tuple(devices)
    if not devices:
        return
    there = {device.uuid for device in devices} | {device.parent for device in devices} - {""}
    kinds = _kinds(devices)
    wrong = [f"gpus.reserve: there is no device {uuid}; there is {_list(there)}."
             for uuid in gpus.reserve if uuid not in there]  # fmt: skip
    wrong += [f"gpus.share: {slug} are MIG slices, which are lent one by one; make smaller slices instead."
              for slug in gpus.share if kinds.get(slug)]  # fmt: skip
    if wrong:
        raise OperatorError("\n".join(wrong))


def unknown(devices: Iterable[Device], gpus: GPUs) -> tuple[str, ...]:
    """A sentence for each class that the settings name and that is not there: mistyped, or its cards are broken.

    That is no reason to lend nothing: a card that dies takes its class along.
    """
    kinds = _kinds(devices)
    groups = [(f"groups.{name}.classes", limits.classes) for name, limits in gpus.groups.items()]
    named = [("share", gpus.share), ("names", gpus.names), ("classes", gpus.classes), *groups]
    return tuple(f"gpus.{key}: there is no class {slug} at present; there is {_list(kinds)}."
                 for key, slugs in named for slug in slugs if kinds and slug not in kinds)  # fmt: skip


def _kinds(devices: Iterable[Device]) -> dict[str, str]:
    """Slug of each class -> its MIG profile, empty for whole cards."""
    return {slug_of(device.model, device.profile): device.profile for device in devices}


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
