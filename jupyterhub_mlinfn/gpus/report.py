"""The service `gpus`: reads NVIDIA's driver again and again, and tells it over HTTP on loopback.

It runs where the driver's library is (compose/gpus-cdi.yaml, compose/gpus-nvidia.yaml), without root and rights, so
that the hub, which is root, needs no GPU and does not hang with a driver in trouble. Run with:
`MLINFN_GPUS_PORT=8005 python3 -m jupyterhub_mlinfn.gpus.report`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from .. import loopback, metrics
from . import nvml, reported
from .inventory import EVERY_S

STALE_S = 60
"""After so long without an answer the driver hangs, and what it said before is not told any more."""


class Looks:
    """What the driver said last, and when."""

    def __init__(self, minors: Path = nvml.MINORS):
        self.minors, self.report, self.trouble, self.at = minors, "", "nothing was asked yet", time.monotonic()

    def look(self) -> None:
        """Ask the driver. Blocks while it thinks."""
        try:
            devices, notes = nvml.read(self.minors)
            report, trouble = reported.text(devices, notes), ""
        except nvml.NoNVML as error:
            report, trouble = reported.text(error=error), str(error)
        if trouble != self.trouble:
            print(trouble or f"NVIDIA's driver answers. Devices: {len(devices)}.", file=sys.stderr, flush=True)
        self.report, self.trouble, self.at = report, trouble, time.monotonic()

    def go_on(self) -> None:
        """Ask again and again, for as long as the process lives."""
        while True:
            self.look()
            time.sleep(EVERY_S)

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text for a path: / is the report, /health whether the driver answers, /metrics the same."""
        if path not in ("/", "/health", "/metrics"):
            return 404, "There is /, /health and /metrics.\n"
        silent_s = time.monotonic() - self.at
        if path == "/metrics":
            is_up = bool(self.report) and not self.trouble and silent_s <= STALE_S
            return 200, metrics.page([metrics.GPU_DRIVER_UP.read([((), is_up)])])
        if silent_s > STALE_S or not self.report:
            return 503, f"NVIDIA's driver has not answered for {silent_s:.0f} s.\n"
        if path == "/":
            return 200, self.report
        return (503, f"{self.trouble}\n") if self.trouble else (200, "ok\n")


def main() -> None:
    """Nothing; answers until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container has no default
    looks = Looks()
    threading.Thread(target=looks.go_on, daemon=True).start()
    loopback.server(looks.answer, int(os.environ["MLINFN_GPUS_PORT"])).serve_forever()


if __name__ == "__main__":
    main()
