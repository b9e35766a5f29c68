"""Runs the service `certificate`: `MLINFN_CONFIG=mlinfn.yaml python3 -m jupyterhub_mlinfn.certificates`."""

from __future__ import annotations

import os
import signal
import threading

from .. import loopback
from ..settings import load
from . import port
from .keeper import Keeper


def main() -> None:
    """Nothing; looks and answers until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default
    settings = load()
    keeper = Keeper(settings)
    threading.Thread(target=keeper.go_on, daemon=True).start()
    loopback.server(keeper.answer, port(settings)).serve_forever()


if __name__ == "__main__":
    main()
