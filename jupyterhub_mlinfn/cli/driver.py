"""How NVIDIA's driver is, its toolkit, and what Docker was told of both."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..gpus import cdi
from ..gpus.inventory import CDI_FOLDERS
from .asking import Said, at_once, said

NVIDIA, DISPLAY = "0x10de", "0x03"
"""Vendor, and class of displays and of 3D controllers, on the PCI bus."""


@dataclass(frozen=True)
class Seen:
    """How it was found."""

    cards: int
    """NVIDIA's GPUs on the PCI bus, with a driver or without."""
    smi: Said
    """UUIDs of the GPUs that the driver knows."""
    toolkit: Said
    """Version of NVIDIA's container toolkit."""
    named: tuple[str, ...]
    """Devices in Docker's specifications."""
    gone: tuple[str, ...]
    """Files that the specifications need and that are not there."""
    unlinked: tuple[str, ...]
    """The driver's device nodes that have no link in /dev/char."""
    system: str
    """ID of the distribution."""


def look(about: Callable[[], Mapping[str, Any] | str], world: Path) -> Seen:
    """The driver and its toolkit as they are now."""
    return Seen(**at_once({
        "cards": lambda: cards(world),
        "smi": lambda: said("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"),
        "toolkit": lambda: said("nvidia-ctk", "--version"),
        "named": lambda: tuple(cdi.named(folders(about()))),
        "gone": lambda: gone(cdi.needs(folders(about()))),
        "unlinked": lambda: unlinked(world / "dev"),
        "system": lambda: system(world),
    }))  # fmt: skip


def folders(about: Mapping[str, Any] | str) -> tuple[str, ...]:
    """Where Docker looks for specifications."""
    return CDI_FOLDERS if isinstance(about, str) else tuple(about.get("CDISpecDirs") or ())


def cards(world: Path) -> int:
    """How many of NVIDIA's GPUs are on the PCI bus."""
    found = [each for each in (world / "sys/bus/pci/devices").glob("*") if _word(each / "vendor") == NVIDIA]
    return sum(_word(each / "class").startswith(DISPLAY) for each in found)


def gone(needed: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the files that are not there."""
    return tuple(path for path in needed if not os.path.exists(path))


def unlinked(dev: Path) -> tuple[str, ...]:
    """Device nodes of the driver without a link by their number: systemd does not know them then."""
    nodes = [each for each in sorted(dev.glob("nvidia*")) if stat.S_ISCHR(each.stat().st_mode)]
    return tuple(each.name for each in nodes if not os.path.lexists(dev / "char" / _number(each.stat().st_rdev)))


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def system(world: Path) -> str:
    """The distribution's ID, such as debian."""
    lines = _word(world / "etc/os-release").splitlines()
    return next((line[3:].strip("\"'") for line in lines if line.startswith("ID=")), "")


def _word(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
