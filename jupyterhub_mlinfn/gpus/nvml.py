"""The GPUs that NVIDIA's driver knows, through its management library (NVML)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pynvml

from .devices import Device

MINORS = Path("/proc/driver/nvidia-caps/mig-minors")
"""Where the driver says which /dev/nvidia-caps/nvidia-cap* is what; absent without MIG."""


class NoNVML(Exception):
    """The library does not work; the text says why."""


class NoLibrary(NoNVML):
    """The library is not there, so that nothing is known about the driver."""


def read(minors: Path = MINORS) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """The devices that work, and a sentence for each that does not. Raises NoNVML. Blocks while the driver thinks."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound as error:
        raise NoLibrary(str(error)) from error
    except pynvml.NVMLError as error:
        raise NoNVML(str(error)) from error
    try:
        return _all_cards(minors)
    except pynvml.NVMLError as error:
        raise NoNVML(str(error)) from error
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _all_cards(minors: Path) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    capabilities = _capabilities(minors)
    devices: list[Device] = []
    notes: list[str] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            devices += _card(index, capabilities)
        except pynvml.NVMLError as error:
            notes.append(f"GPU {index} does not answer ({error}) and is not lent. See: nvidia-smi, dmesg | grep -i xid")
    return tuple(devices), tuple(notes)


def _capabilities(minors: Path) -> dict[str, str]:
    """Name of a right, such as gpu0/gi1/access -> the device node that gives it; nothing where there is no MIG."""
    try:
        pairs = [line.split() for line in minors.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: f"/dev/nvidia-caps/nvidia-cap{pair[1]}" for pair in pairs if len(pair) == 2}


def _card(index: int, capabilities: Mapping[str, str]) -> list[Device]:
    """A card, or its slices if it is in MIG mode: then the card itself cannot be lent."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    minor, uuid = pynvml.nvmlDeviceGetMinorNumber(handle), _text(pynvml.nvmlDeviceGetUUID(handle))
    card = Device(uuid, _text(pynvml.nvmlDeviceGetName(handle)), 0, index, nodes=(f"/dev/nvidia{minor}",))
    if _in_mig_mode(handle):
        return [replace(each, nodes=(*card.nodes, *_rights(part, minor, capabilities)))
                for part, each in _slices(handle, card)]  # fmt: skip
    return [replace(card, memory=pynvml.nvmlDeviceGetMemoryInfo(handle).total)]


def _in_mig_mode(handle) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return False
    return current == pynvml.NVML_DEVICE_MIG_ENABLE


def _slices(handle, card: Device) -> Iterator[tuple[Any, Device]]:
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):  # numbers have gaps
            continue
        model, _, profile = _text(pynvml.nvmlDeviceGetName(part)).partition(" MIG ")
        memory = pynvml.nvmlDeviceGetMemoryInfo(part).total
        instance = pynvml.nvmlDeviceGetGpuInstanceId(part)
        yield part, Device(_text(pynvml.nvmlDeviceGetUUID(part)), model, memory, card.index, profile or "slice",
                           card.uuid, number=number, instance=instance)  # fmt: skip


def _rights(part, minor: int, capabilities: Mapping[str, str]) -> list[str]:
    """The two nodes beside the card's without which a program cannot use the slice; none if the driver names none."""
    instance = f"gpu{minor}/gi{pynvml.nvmlDeviceGetGpuInstanceId(part)}"
    names = (f"{instance}/access", f"{instance}/ci{pynvml.nvmlDeviceGetComputeInstanceId(part)}/access")
    return [capabilities[name] for name in names if name in capabilities]


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
