"""Which GPUs are there: from the driver, from Docker's specifications, or made up; looked at again and again."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..settings import GPUs
from . import cdi, nvml, reported
from .devices import GIB, Device

EVERY_S = 10
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""Where the Engine looks unless it was told otherwise."""
log = logging.getLogger("jupyterhub.mlinfn.gpus")


@dataclass(frozen=True)
class Found:
    """What was found, by which way, and what the keeper should know about it."""

    devices: tuple[Device, ...] = ()
    source: str = "none"
    """nvml, cdi, simulated or none."""
    notes: tuple[str, ...] = ()


def find(gpus: GPUs, folders: Sequence[str] = CDI_FOLDERS, minors: Path = nvml.MINORS) -> Found:
    """The devices that can be lent. Blocks while the driver thinks."""
    if gpus.source == "none":
        return Found()
    if gpus.source == "simulated":
        return Found(simulated(gpus.simulated), "simulated", ("The GPUs are made up: labs get none.",))
    names = cdi.named(folders)
    if gpus.source == "cdi":
        return _by_specifications(names, is_told=True)
    try:
        devices, notes = _read(minors)
    except nvml.NoLibrary as error:
        return _by_specifications(names, is_told=bool(names)) if gpus.source == "auto" else _nothing(error)
    except nvml.NoNVML as error:  # specifications say nothing about a card that the driver cannot reach
        return _nothing(error)
    return _by_driver(gpus, cdi.with_names(devices, names), notes)


def _read(minors: Path) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """From the library in this process, else from the service that has it, if there is one. Raises NoNVML."""
    try:
        return nvml.read(minors)
    except nvml.NoNVML:
        if not (url := reported.address()):
            raise
        return reported.read(url)


def simulated(count: int) -> tuple[Device, ...]:
    """So many cards that do not exist, with the same ids every time."""
    ids = [uuid.uuid5(uuid.NAMESPACE_DNS, f"gpu-{number}.simulated.invalid") for number in range(count)]
    return tuple(Device(f"GPU-{each}", "Simulated GPU", 16 * GIB, number) for number, each in enumerate(ids))


def _nothing(why: nvml.NoNVML) -> Found:
    return Found(notes=(f"NVIDIA's driver does not answer: {why}. No GPU is lent. See: nvidia-smi",))


def _by_specifications(names: cdi.Named, is_told: bool) -> Found:
    if devices := cdi.alone(names):
        return Found(devices, "cdi")
    note = f"Docker's specifications name no GPU by its UUID. Make one that does: {cdi.COMMAND}"
    return Found(notes=(note,) if is_told else ())


def _by_driver(gpus: GPUs, devices: tuple[Device, ...], notes: tuple[str, ...]) -> Found:
    nameless = [device for device in devices if not device.cdi]
    if gpus.driver == "nvidia" or not nameless:
        return Found(devices, "nvml", notes)
    said = f"Docker has no CDI name for {', '.join(device.uuid for device in nameless)}"
    if gpus.driver == "auto":
        note = f"{said}: given through NVIDIA's runtime. For CDI: {cdi.COMMAND}"
        return Found(devices, "nvml", (*notes, note))
    note = f"{said}: not lent. Make one: {cdi.COMMAND}"
    return Found(tuple(device for device in devices if device.cdi), "nvml", (*notes, note))


class Inventory:
    """What was found last. A device that has disappeared is not lent any more; what holds it is left alone."""

    def __init__(self, gpus: GPUs, folders: Sequence[str] = CDI_FOLDERS):
        self.gpus, self.folders, self.found = gpus, folders, Found()
        # A thread of its own: a driver in trouble keeps it for minutes, and nobody else waits for that.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gpus")

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that can be lent now."""
        return self.found.devices

    async def refresh(self) -> bool:
        """True if something has changed since the last time."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, find, self.gpus, self.folders)
        changed, before = found != self.found, self.found
        self.found = found
        for note in [note for note in found.notes if note not in before.notes]:
            log.warning("%s", note)
        gone = {device.uuid for device in before.devices} - {device.uuid for device in found.devices}
        for each in sorted(gone):
            log.warning("The GPU %s has disappeared and is not lent any more.", each)
        return changed
