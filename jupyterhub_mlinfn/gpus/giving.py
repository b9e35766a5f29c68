"""How lent devices reach a container: by CDI name, or by id through NVIDIA's runtime. Touches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .request import Lease

if TYPE_CHECKING:
    from docker.types import DeviceRequest

RIGHTS = "/dev/nvidia-caps"
_CARD = re.compile(r"/dev/nvidia\d+")
_CARD_OR_RIGHT = re.compile(rf"/dev/nvidia\d+|{RIGHTS}/nvidia-cap\d+")
"""All slices of a card have its node; which of them can be used is decided by the nodes of rights."""
CAPABILITIES = [["gpu", "compute", "utility"]]


def way(lease: Lease, driver: str, is_simulated: bool = False) -> str:
    """cdi, nvidia, or none: how this lease is given, as the site's `gpus.driver` wants it."""
    if not lease.devices or is_simulated:
        return "none"
    return ("cdi" if all(device.cdi for device in lease.devices) else "nvidia") if driver == "auto" else driver


def device_requests(lease: Lease, by: str) -> list[DeviceRequest]:
    """What the Engine is asked for: these devices and no others, never a count."""
    from docker.types import DeviceRequest

    if by == "cdi":
        return [DeviceRequest(driver="cdi", device_ids=[device.cdi for device in lease.devices])]
    if by == "nvidia":
        return [DeviceRequest(driver="nvidia", device_ids=list(lease.uuids), capabilities=CAPABILITIES)]
    return []


def environment(lease: Lease, by: str) -> dict[str, str]:
    """What a lab knows of its GPUs; simulated ones are none.

    `void` keeps the runtime from adding others where NVIDIA's is the default one.
    """
    given = "" if by == "none" else ",".join(lease.uuids)
    return {"MLINFN_GPUS": given, "NVIDIA_VISIBLE_DEVICES": given if by == "nvidia" else "void"}


def labels(lease: Lease, prefix: str) -> dict[str, str]:
    """What the container says it holds; nothing without a GPU."""
    if not lease.devices:
        return {}
    return {f"{prefix}gpus": ",".join(lease.uuids), f"{prefix}slots": str(lease.slots)}


def difference(lease: Lease, seen: Iterable[str]) -> str:
    """A sentence about cards and slices that a container sees and was not lent, or the reverse; empty if it is right.

    `seen` are the paths in its /dev. Nothing is known of a device whose nodes are not known, and of slices alone
    nothing where the driver does not say which rights are theirs.
    """
    if any(not device.nodes for device in lease.devices):
        return ""
    slices = [device for device in lease.devices if device.profile]
    has_rights = all(any(node.startswith(RIGHTS) for node in device.nodes) for device in slices)
    compared = _CARD_OR_RIGHT if has_rights else _CARD
    wanted = {node for device in lease.devices for node in device.nodes if compared.fullmatch(node)}
    found = {node for node in seen if compared.fullmatch(node)}
    more, less = sorted(found - wanted), sorted(wanted - found)
    said = [f"sees {', '.join(more)}, which it was not lent"] if more else []
    said += [f"does not see {', '.join(less)}, which it was lent"] if less else []
    return f"It {' and '.join(said)}." if said else ""
