"""The devices that the Engine can hand out by name: the Container Device Interface's specifications on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
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
_CARD = re.compile(r"/dev/nvidia\d+")


def named(folders: Iterable[str | Path]) -> dict[str, tuple[str, ...]]:
    """The GPUs in the specifications of these folders, as the Engine understands them.

    A later folder wins. What two files of one folder name is refused by the Engine, and is not among them.
    """
    found: dict[str, tuple[str, ...]] = {}
    twice: set[str] = set()
    for folder in map(Path, folders):
        here: dict[str, tuple[str, ...]] = {}
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            devices = _devices_in(path)
            twice |= here.keys() & devices.keys()
            here |= devices
        found |= here
    return {name: nodes for name, nodes in found.items() if name not in twice}


def needs(folders: Iterable[str | Path]) -> tuple[str, ...]:
    """Files of this machine without which nothing starts that is given a GPU of these folders' specifications."""
    paths = [path for folder in map(Path, folders) if folder.is_dir() for path in sorted(folder.glob("*"))]
    found = [each for path in paths for each in _needed_by(_specification(path))]
    return tuple(dict.fromkeys(found))


def _needed_by(specification: Any) -> Iterable[str]:
    if not isinstance(specification, Mapping) or specification.get("kind") != KIND:
        return
    for part in (specification, *_list(specification.get("devices"))):
        edits = part.get("containerEdits") if isinstance(part, Mapping) else None
        for name in ("deviceNodes", "mounts") if isinstance(edits, Mapping) else ():
            files = [each for each in _list(edits.get(name)) if isinstance(each, Mapping)]
            paths = (each.get("hostPath") or each.get("path") for each in files)
            yield from (str(path) for path in paths if path)


def _devices_in(path: Path) -> dict[str, tuple[str, ...]]:
    return _devices(_specification(path))


def _specification(path: Path) -> Any:
    """What a file says; nothing for one that the Engine does not read, or could not either."""
    if path.suffix not in (".yaml", ".json"):
        return None
    try:
        state = path.stat()
        return _read(path, (state.st_ino, state.st_mtime_ns, state.st_size))
    except (OSError, ValueError, YAMLError):
        return None


@lru_cache(maxsize=16)
def _read(path: Path, state: tuple[int, ...]) -> Any:
    """What the file says. It is read anew when its state has changed: NVIDIA's have many hundred lines."""
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)


def _devices(specification: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(specification, Mapping) or specification.get("kind") != KIND:
        return {}
    devices = [each for each in _list(specification.get("devices")) if isinstance(each, Mapping) and "name" in each]
    return {str(device["name"]): _nodes(device.get("containerEdits")) for device in devices}


def _nodes(edits: Any) -> tuple[str, ...]:
    nodes = _list(edits.get("deviceNodes")) if isinstance(edits, Mapping) else []
    return tuple(str(node["path"]) for node in nodes if isinstance(node, Mapping) and "path" in node)


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def with_names(devices: Iterable[Device], names: Named) -> tuple[Device, ...]:
    """The devices, each with its CDI name and nodes if the Engine has one for it."""
    return tuple(_with_name(device, names) for device in devices)


def _with_name(device: Device, names: Named) -> Device:
    """By UUID, else by index, where the nodes agree: a card taken out, or cut anew, makes yesterday's names others'."""
    name = next((each for each in _possible(device) if each in names and _is(device, each, names[each])), "")
    if not name:
        return device
    return replace(device, cdi=f"{KIND}={name}", nodes=names[name] or device.nodes)


def _possible(device: Device) -> tuple[str, ...]:
    """What nvidia-ctk may have called it: by UUID, by index, and by type and index."""
    if device.profile:
        index = f"{device.index}:{device.number}"
        return device.uuid, index, f"mig{index}"
    return device.uuid, str(device.index), f"gpu{device.index}"


def _is(device: Device, name: str, nodes: tuple[str, ...]) -> bool:
    """Whether the name means the device. An index of a slice is believed only if its own nodes are known."""
    agrees = set(device.nodes) <= set(nodes)
    if name == device.uuid:
        return agrees or not any(map(_CARD.fullmatch, nodes))
    return agrees and len(device.nodes) > (1 if device.profile else 0)


def alone(names: Named) -> tuple[Device, ...]:
    """What can be lent where only the specifications are known: devices that they name by UUID.

    A card of which they name slices is in MIG mode, and is lent by these.
    """
    cut = {node for name, nodes in names.items() if name.startswith("MIG-") for node in nodes if _CARD.fullmatch(node)}
    slices = [Device(name, "NVIDIA GPU", 0, profile="slice", cdi=f"{KIND}={name}", nodes=nodes)
              for name, nodes in names.items() if name.startswith("MIG-")]  # fmt: skip
    cards = [Device(name, "NVIDIA GPU", 0, _index(nodes, names), cdi=f"{KIND}={name}", nodes=nodes)
             for name, nodes in names.items() if name.startswith("GPU-") and not cut & set(nodes)]  # fmt: skip
    return (*cards, *slices)


def _index(nodes: tuple[str, ...], names: Named) -> int:
    """The number by which the specifications name these nodes as well; -1 if they do not."""
    return next((int(name) for name in names if name.isdecimal() and nodes and names[name] == nodes), -1)
