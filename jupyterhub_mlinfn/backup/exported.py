"""Copies of the hub's databases, which it makes when it is asked: how old they are, and which there never were."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

FOLDER = "export"
DATABASES = "[!.]*.sqlite"
"""But one that the hub makes at this moment."""


def oldest(hub: Path) -> str:
    """When the oldest of them was made; empty where there is none."""
    times = [path.stat().st_mtime for path in (hub / FOLDER).glob(DATABASES)]
    return datetime.fromtimestamp(min(times), timezone.utc).isoformat(timespec="seconds") if times else ""


def lacking(hub: Path) -> list[str]:
    """Names of databases that have no copy. Snapshots have nothing of these: they leave out what is in use."""
    return sorted({path.name for path in hub.glob(DATABASES)} - {path.name for path in (hub / FOLDER).glob(DATABASES)})
