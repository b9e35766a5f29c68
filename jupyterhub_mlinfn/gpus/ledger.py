"""Who holds which GPU, read from the Engine's containers: theirs is the only truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..identity import escape
from .devices import Device

LABELS = "it.infn.mlinfn."
SERVICE = f"{LABELS}service"
"""Label of our own services: the hub looks at GPUs and holds none."""
HOLDING = frozenset({"created", "running", "paused", "restarting", "removing"})
"""States of a container whose devices cannot be lent. One that has ended gives them back."""
_INDEX = re.compile(r"(?:gpu|mig)?(?P<card>[0-9]+)(?::(?P<slice>[0-9]+))?")
"""Names by index, as in --gpus device=0 and in specifications: 0, 0:1 for a slice, gpu0, mig0:1."""
ALL_SLOTS = 0
"""What a container that is not ours takes: the whole device."""


@dataclass(frozen=True)
class Holder:
    """A container and what it holds. `user` is None for one that is not a lab."""

    container: str
    uuids: tuple[str, ...]
    slots: int = ALL_SLOTS
    user: str | None = None
    server: str = ""
    since: float = 0
    """Seconds since the epoch."""
    room: str = ""


def is_lab(container: Mapping[str, Any]) -> bool:
    """True if the container in the Engine's list is a lab of this software, of whichever instance.

    Its name has to agree with its labels: a container has the labels of its image too, and an image made of a lab
    (`docker commit`) has that lab's.
    """
    labels = container.get("Labels") or {}
    user, server = labels.get(f"{LABELS}user"), labels.get(f"{LABELS}server")
    return bool(user) and _is_named(container, f"-{escape(user)}" + (f".{escape(server)}" if server else ""))


def _is_service(container: Mapping[str, Any]) -> bool:
    service = (container.get("Labels") or {}).get(SERVICE)
    return bool(service) and _is_named(container, f"-{service}")


def _is_named(container: Mapping[str, Any], end: str) -> bool:
    return any(name.endswith(end) for name in container.get("Names") or ())


def needs_a_look(container: Mapping[str, Any]) -> bool:
    """True if only an inspection tells what this container of the Engine's list holds."""
    return container["State"] in HOLDING and not is_lab(container) and not _is_service(container)


def holders(containers: Iterable[Mapping[str, Any]], inspected: Mapping[str, Mapping[str, Any]],
            devices: Sequence[Device]) -> tuple[Holder, ...]:  # fmt: skip
    """Everybody who holds a device. `containers` is the Engine's list, `inspected` the foreign ones by id."""
    found = []
    for container in containers:
        if container["State"] not in HOLDING:
            continue
        if is_lab(container):
            found.append(_lab(container))
        elif container["Id"] in inspected:
            found.append(Holder(container["Id"], _foreign(inspected[container["Id"]], devices),
                                since=container.get("Created") or 0))  # fmt: skip
    return tuple(holder for holder in found if holder.uuids)


def _lab(container: Mapping[str, Any]) -> Holder:
    labels = container["Labels"]
    uuids = tuple(filter(None, labels.get(f"{LABELS}gpus", "").split(",")))
    said = labels.get(f"{LABELS}slots", "1")
    slots = int(said) if said.isdigit() else ALL_SLOTS
    return Holder(container["Id"], uuids, slots, labels[f"{LABELS}user"], labels.get(f"{LABELS}server", ""),
                  container.get("Created") or 0, labels.get(f"{LABELS}room", ""))  # fmt: skip


def _foreign(inspected: Mapping[str, Any], devices: Sequence[Device]) -> tuple[str, ...]:
    """Devices of a container that somebody else started, by all the ways in which Docker gives them."""
    host = inspected.get("HostConfig") or {}
    named: list[str] = []
    for request in host.get("DeviceRequests") or ():
        named += _requested(request)
    named += [entry.get("PathOnHost", "") for entry in host.get("Devices") or ()]
    if "nvidia" in (host.get("Runtime") or ""):  # nvidia-cdi and nvidia-legacy are its variants
        named += _visible((inspected.get("Config") or {}).get("Env") or ())
    return tuple(device.uuid for device in devices if any(_means(name, device) for name in named))


def _requested(request: Mapping[str, Any]) -> list[str]:
    driver, ids = request.get("Driver") or "", list(request.get("DeviceIDs") or ())
    if driver == "cdi":
        return [_plain(name) for name in ids]
    wanted = [word for words in request.get("Capabilities") or () for word in words]
    if driver != "nvidia" and (driver or "gpu" not in wanted):
        return []
    if ids:
        return ids
    count = request.get("Count") or 0
    # Docker gives the first so many, and all for -1 (moby, countToDevices).
    return ["all"] if count < 0 else [str(index) for index in range(count)]


def _visible(environment: Iterable[str]) -> list[str]:
    values = [line.partition("=")[2] for line in environment if line.startswith("NVIDIA_VISIBLE_DEVICES=")]
    return [_plain(name.strip()) for value in values for name in value.split(",")]


def _plain(name: str) -> str:
    """A device's name without NVIDIA's kind before it; nothing for a device of another kind."""
    kind, _, device = name.rpartition("=")
    return device if not kind or "nvidia.com/" in kind else ""


def _means(name: str, device: Device) -> bool:
    """Whether a name that Docker was given covers the device: its UUID, its card's, an index, a node, or all.

    An index covers every device whose own is not known: what may be taken is not free.
    """
    if name == "all" or name in device.nodes:
        return True
    ids = {device.uuid, device.parent, _plain(device.cdi)} - {""}
    index = _INDEX.fullmatch(name)
    return name.lower() in {each.lower() for each in ids} or (bool(index) and _may_be(device.index, index["card"]) \
        and _may_be(device.number, index["slice"]))


def _may_be(number: int, said: str | None) -> bool:
    return said is None or number < 0 or number == int(said)
