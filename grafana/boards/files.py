"""The files of all boards, as Grafana reads them."""

from __future__ import annotations

from pathlib import Path

from . import containers, gpus, health, hub, machine
from .drawing import drawn

BOARDS = (machine.BOARD, containers.BOARD, gpus.BOARD, hub.BOARD, health.BOARD)
FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def texts() -> dict[str, str]:
    """Name of each file -> what is in it."""
    return {f"{board.name}.json": drawn(board) for board in BOARDS}


def write() -> int:
    """Exit status 0: the folder has these files and no others."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
    return 0
