"""The GPUs that NVIDIA's driver knows, through its management library (NVML)."""

from __future__ import annotations

from collections.abc import Iterator

import pynvml

from .devices import Device


class NoNVML(Exception):
    """The library is not there, or does not work; the text says which."""


def read() -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """The devices that work, and a sentence for each that does not. Raises NoNVML. Blocks while the driver thinks."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoNVML(str(error)) from error
    try:
        return _all_cards()
    except pynvml.NVMLError as error:
        raise NoNVML(str(error)) from error
    finally:
        pynvml.nvmlShutdown()


def _all_cards() -> tuple[tuple[Device, ...], tuple[str, ...]]:
    devices: list[Device] = []
    notes: list[str] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            devices += _card(index)
        except pynvml.NVMLError as error:
            notes.append(f"GPU {index} does not answer ({error}) and is not lent. See: nvidia-smi, dmesg | grep -i xid")
    return tuple(devices), tuple(notes)


def _card(index: int) -> list[Device]:
    """A card, or its slices if it is in MIG mode: then the card itself cannot be lent."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    node = f"/dev/nvidia{pynvml.nvmlDeviceGetMinorNumber(handle)}"
    uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
    if _in_mig_mode(handle):
        return list(_slices(handle, index, uuid, node))
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total
    return [Device(uuid, _text(pynvml.nvmlDeviceGetName(handle)), memory, index, nodes=(node,))]


def _in_mig_mode(handle) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return False
    return current == pynvml.NVML_DEVICE_MIG_ENABLE


def _slices(handle, index: int, parent: str, node: str) -> Iterator[Device]:
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except pynvml.NVMLError_NotFound:  # numbers have gaps
            continue
        model, _, profile = _text(pynvml.nvmlDeviceGetName(part)).partition(" MIG ")
        memory = pynvml.nvmlDeviceGetMemoryInfo(part).total
        yield Device(_text(pynvml.nvmlDeviceGetUUID(part)), model, memory, index, profile or "slice", parent,
                     nodes=(node,))  # fmt: skip


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
