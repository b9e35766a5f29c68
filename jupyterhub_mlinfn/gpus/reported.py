"""What the service `gpus` tells about NVIDIA's driver: the hub's container has neither its library nor its devices."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import asdict, fields
from typing import Any

from . import nvml
from .devices import Device

ADDRESS = "MLINFN_GPUS_REPORT"
"""Environment variable with the URL of the service; empty or absent where there is none."""
NO_LIBRARY, NO_DRIVER = "no library", "no driver"
PATIENCE_S = 5
"""How long a service that is being recreated is asked again."""
ANSWER_S, AGAIN_S = 5, 0.2
_FIELDS = {field.name for field in fields(Device)}
# A proxy for the outside world, set in the environment, is not asked about this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def address() -> str:
    """Where to ask; empty where the site has no such service."""
    return os.environ.get(ADDRESS, "")


def text(devices: tuple[Device, ...] = (), notes: tuple[str, ...] = (), error: nvml.NoNVML | None = None) -> str:
    """The report as the service sends it: what nvml.read gave, or raised."""
    kind = NO_LIBRARY if isinstance(error, nvml.NoLibrary) else NO_DRIVER
    trouble = {"kind": kind, "text": str(error)} if error else None
    return json.dumps({"devices": [asdict(each) for each in devices], "notes": notes, "trouble": trouble})


def read(url: str, patience_s: float = PATIENCE_S) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """As nvml.read, of the driver that the service sees. Raises NoNVML, also if nothing sensible answers."""
    report = _asked(url, time.monotonic() + patience_s)
    try:
        if trouble := report["trouble"]:
            error = nvml.NoLibrary if trouble["kind"] == NO_LIBRARY else nvml.NoNVML
            raise error(str(trouble["text"]))
        return tuple(map(_device, report["devices"])), tuple(map(str, report["notes"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise nvml.NoNVML(f"{url} answered something else than a report; see: mlinfn logs gpus") from error


def _asked(url: str, end: float) -> Any:
    while True:
        try:
            with _DIRECT.open(url, timeout=ANSWER_S) as answer:
                return json.load(answer)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if time.monotonic() > end:
                raise nvml.NoNVML(f"{url}: {_said(error)}; see: mlinfn logs gpus") from error
        time.sleep(AGAIN_S)


def _said(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return error.read(300).decode(errors="replace").strip() or str(error)
    return str(getattr(error, "reason", error))


def _device(told: dict[str, Any]) -> Device:
    """A device; what a newer service knows besides is left out."""
    known = {name: value for name, value in told.items() if name in _FIELDS}
    return Device(**{**known, "nodes": tuple(known.get("nodes", ()))})
