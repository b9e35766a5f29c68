"""The devices that the Engine can hand out by name: the Container Device Interface's specifications on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .devices import Device

KIND = "nvidia.com/gpu"
COMMAND = "sudo nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml"
"""What makes a specification that names devices by UUID."""
Named = Mapping[str, tuple[str, ...]]
"""Name of a device -> its device nodes."""


def named(folders: Iterable[str | Path]) -> dict[str, tuple[str, ...]]:
    """The GPUs in the specifications of these folders; a later folder wins, as it does for the Engine."""
    found: dict[str, tuple[str, ...]] = {}
    for folder in map(Path, folders):
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.suffix in (".yaml", ".yml", ".json"):
                found.update(_devices(_read(path)))
    return found


def _read(path: Path) -> Any:
    """What a file says; nothing for one that the Engine could not read either."""
    try:
        text = path.read_text()
        return json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
    except (OSError, ValueError, YAMLError):
        return None


def _devices(specification: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(specification, Mapping) or specification.get("kind") != KIND:
        return {}
    return {str(device["name"]): _nodes(device) for device in specification.get("devices") or () if "name" in device}


def _nodes(device: Mapping[str, Any]) -> tuple[str, ...]:
    edits = device.get("containerEdits") or {}
    return tuple(node["path"] for node in edits.get("deviceNodes") or () if "path" in node)


def with_names(devices: Iterable[Device], names: Named) -> tuple[Device, ...]:
    """The devices, each with its CDI name and nodes if the Engine has one for it."""
    return tuple(_with_name(device, names) for device in devices)


def _with_name(device: Device, names: Named) -> Device:
    """By UUID, else by index where the nodes agree: after a card is taken out, yesterday's indexes mean others."""
    name = next((each for each in (device.uuid, str(device.index)) if each in names and _is(device, each, names)), "")
    if not name:
        return device
    return replace(device, cdi=f"{KIND}={name}", nodes=names[name] or device.nodes)


def _is(device: Device, name: str, names: Named) -> bool:
    return name == device.uuid or (not device.profile and bool(set(device.nodes) & set(names[name])))


def alone(names: Named) -> tuple[Device, ...]:
    """What can be lent where only the specifications are known: devices that they name by UUID."""
    uuids = [name for name in names if name.startswith(("GPU-", "MIG-"))]
    return tuple(Device(uuid, "NVIDIA GPU", 0, profile="slice" if uuid.startswith("MIG-") else "",
                        cdi=f"{KIND}={uuid}", nodes=names[uuid]) for uuid in uuids)  # fmt: skip
