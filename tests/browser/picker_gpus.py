"""GPUs of the picker's tests: the real pool on an Engine and devices that a test writes into a file, gpus.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from jupyterhub_mlinfn.gpus import Device, Found
from jupyterhub_mlinfn.gpus.lending import Lending
from jupyterhub_mlinfn.settings import GPUs

GIB = 2**30
WORLD = Path("gpus.json")
DEVICES = {
    "H": Device("GPU-h", "NVIDIA H200", 141 * GIB, 0),
    "A0": Device("GPU-a0", "NVIDIA A100-SXM4-80GB", 80 * GIB, 1),
    "A1": Device("GPU-a1", "NVIDIA A100-SXM4-80GB", 80 * GIB, 2),
    "T": Device("GPU-t", "Tesla T4", 16 * GIB, 3),
    "M0": Device("MIG-0", "NVIDIA A100-SXM4-80GB", 10 * GIB, 4, "1g.10gb", "GPU-a4"),
    "M1": Device("MIG-1", "NVIDIA A100-SXM4-80GB", 10 * GIB, 4, "1g.10gb", "GPU-a4"),
}
SITE = GPUs(
    share={"t4": 4}, names={"t4": "T4", "a100-1g.10gb": "A100, a seventh"}, show_holders=True,
    groups={"guests": {"per_server": 1, "classes": {"h200": 0}}},
)  # fmt: skip
# As the Engine lists them: who holds what.
HELD = {"anna": "GPU-a0", "bob": "GPU-t"}


def world(held: Mapping[str, str] = HELD, devices: str = "H A0 A1 T M0 M1", **more: Any) -> dict[str, Any]:
    """What gpus.json says. `more`: away (Docker does not answer), simulated."""
    return {"held": dict(held), "devices": devices.split(), "away": False, "simulated": False, **more}


class MadeUpDocker:
    """What Lending asks of a client."""

    def info(self) -> dict[str, Any]:
        """Nothing of interest."""
        return {}

    def containers(self, all: bool) -> list[dict[str, Any]]:
        """The labs that gpus.json names."""
        said = json.loads(WORLD.read_text())
        if said["away"]:
            raise requests.ConnectionError("no Docker")
        return [_lab(user, uuids) for user, uuids in said["held"].items()]


def _lab(user: str, uuids: str) -> dict[str, Any]:
    labels = {"it.infn.mlinfn.user": user, "it.infn.mlinfn.gpus": uuids, "it.infn.mlinfn.slots": "1"}
    name = f"picker-lab-{user}"
    return {"Id": name, "Names": [f"/{name}"], "State": "running", "Labels": labels, "Created": 1795514400}


class MadeUpInventory:
    """The devices that gpus.json names, looked at each time."""

    @property
    def found(self) -> Found:
        """What is there."""
        said = json.loads(WORLD.read_text())
        return Found(tuple(DEVICES[name] for name in said["devices"]), "simulated" if said["simulated"] else "nvml")

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that are lent."""
        return self.found.devices

    async def refresh(self) -> bool:
        """True: the pool always looks again."""
        return True


def lending() -> Lending:
    """What lends GPUs in this hub."""
    found = Lending(SITE, "", MadeUpDocker(), ThreadPoolExecutor(4))
    found.inventory = MadeUpInventory()
    return found
