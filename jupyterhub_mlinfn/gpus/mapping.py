"""Files that tell dcgm-exporter who holds which GPU, so that its series name them (its DCGM_HPC_JOB_MAPPING_DIR)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .. import files
from .devices import Device
from .pool import View

FOLDER = "run/dcgm"
"""Below the root of all data."""
OURS = re.compile(r"\d+(\.\d+)?")


def name_of(device: Device) -> str:
    """What dcgm-exporter calls it: 0, or 2.1 for a slice, whose number is that of its GPU instance. Empty if unknown.

    DCGM counts cards as the driver does, so it is not the minor number of /dev/nvidia*.
    """
    if device.index < 0 or (device.profile and device.instance < 0):
        return ""
    return f"{device.index}.{device.instance}" if device.profile else f"{device.index}"


def jobs(view: View, *, named: bool = True) -> dict[str, str]:
    """The files with their text: a line for each person who holds the GPU; none if they are not to be `named`."""
    devices = [device for each in view.classes for device in each.devices]
    return {name: "".join(f"{user}\n" for user in _users(view, device) if named)
            for device in devices if (name := name_of(device))}  # fmt: skip


def _users(view: View, device: Device) -> list[str]:
    """Each once: a name that came twice would give dcgm-exporter two equal series."""
    return sorted({holder.user for holder in view.holders if holder.user and device.uuid in holder.uuids})


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Nothing; the folder has these files and no others. Its reader fails if one goes while it looks, so what nobody
    holds keeps an empty one.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, text in texts.items():
        files.replace_if_changed(folder / name, text, mode=0o644)
    for path in folder.iterdir():
        if OURS.fullmatch(path.name) and path.name not in texts:
            path.unlink()


__all__ = ["FOLDER", "jobs", "name_of", "write"]
