"""Which GPUs are there: from the driver, from Docker's specifications, or made up; looked at again and again."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..settings import GPUs
from . import cdi, nvml
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


def find(gpus: GPUs, folders: Sequence[str] = CDI_FOLDERS) -> Found:
    """The devices that can be lent. Blocks while the driver thinks."""
    if gpus.source == "none":
        return Found()
    if gpus.source == "simulated":
        return Found(simulated(gpus.simulated), "simulated", ("The GPUs are made up: labs get none.",))
    names = cdi.named(folders)
    try:
        devices, notes = nvml.read() if gpus.source in ("auto", "nvml") else ((), ())
    except nvml.NoNVML as error:
        return _without_driver(gpus, names, f"NVIDIA's driver does not answer: {error}.")
    if gpus.source == "cdi":
        return _without_driver(gpus, names, "")
    return _by_driver(gpus, cdi.with_names(devices, names), notes)


def simulated(count: int) -> tuple[Device, ...]:
    """So many cards that do not exist, with the same ids every time."""
    ids = [uuid.uuid5(uuid.NAMESPACE_DNS, f"gpu-{number}.simulated.invalid") for number in range(count)]
    return tuple(Device(f"GPU-{each}", "Simulated GPU", 16 * GIB, number) for number, each in enumerate(ids))


def _without_driver(gpus: GPUs, names: cdi.Named, why: str) -> Found:
    devices = cdi.alone(names) if gpus.source in ("auto", "cdi") else ()
    notes = [why] if why and gpus.source == "nvml" else []
    if not devices and (gpus.source == "cdi" or names):
        notes.append(f"Docker's specifications name no GPU by its UUID. Make one that does: {cdi.COMMAND}")
    return Found(devices, "cdi" if devices else "none", tuple(notes))


def _by_driver(gpus: GPUs, devices: tuple[Device, ...], notes: tuple[str, ...]) -> Found:
    nameless = [device for device in devices if not device.cdi]
    if gpus.driver != "cdi" or not nameless:
        return Found(devices, "nvml", notes)
    said = ", ".join(device.uuid for device in nameless)
    note = f"Docker has no CDI name for {said}, so they are not lent. Make one: {cdi.COMMAND}"
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
