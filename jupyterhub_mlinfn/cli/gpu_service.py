"""The service `gpus`, which asks NVIDIA's driver for the hub: whether this machine can have it, and in which way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OperatorError
from ..settings import Settings
from . import engine

BY_CDI, BY_RUNTIME = "gpus-cdi.yaml", "gpus-nvidia.yaml"
"""Files beside compose.yaml that give the service all devices."""


def extra_file(settings: Settings) -> str:
    """The one for this machine; empty where nobody has to be asked, or the Engine can give no GPU."""
    if settings.gpus.source not in ("auto", "nvml"):
        return ""
    try:
        return file_for(engine.info())
    except OperatorError:  # who starts the services says so
        return ""


def file_for(about: Mapping[str, Any]) -> str:
    """The one for an Engine that says this of itself: CDI where it knows `all`, else NVIDIA's runtime, else none."""
    from ..gpus import cdi

    if "all" in cdi.named(about.get("CDISpecDirs") or ()):
        return BY_CDI
    return BY_RUNTIME if "nvidia" in (about.get("Runtimes") or {}) else ""
