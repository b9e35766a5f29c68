"""The service `cvmfs-probe`: asks each repository again and again, and tells over HTTP on loopback which answer.

Each question is a child process. One that does not come back is "stuck"; it is killed, and nobody waits for it: a
process that reads from a hung FUSE server may not die before that is back. Run with:
`MLINFN_CVMFS_PORT=8006 MLINFN_CVMFS_REPOSITORIES=sft.cern.ch python3 -m jupyterhub_mlinfn.cvmfs.probe`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from .. import loopback, metrics
from . import mounts, report
from .report import State

FOLDER = "/cvmfs"
EVERY_S = 10
LIMIT_S = 4
"""A repository that has to fetch its first catalogue from afar takes a second or two."""
LOOK_S = 0.1


class Repository:
    """One repository, and the child that asks it, if one is under way."""

    def __init__(self, folder: str, name: str):
        self.folder, self.name, self.child = folder, name, None
        self.asked_at, self.answered_at, self.known = 0.0, 0.0, State(report.UNKNOWN, time.time())
        """Asked at: of the monotonic clock. Answered at: in epoch seconds."""

    def step(self, every_s: float, limit_s: float) -> None:
        """Ask when it is time, and take the answer if one is there. Waits for nothing."""
        waited_s = time.monotonic() - self.asked_at
        if self.child is None:
            if not self.asked_at or waited_s >= every_s:
                self._ask()
        elif self.child.poll() is not None:
            self._learn(self._meaning(self.child.returncode))
            self.child = None
        elif waited_s >= limit_s:
            self._learn(report.STUCK)
            self.child.kill()

    def _ask(self) -> None:
        self.asked_at = time.monotonic()
        # The dot makes an automounter mount it. Names only: `-f` keeps ls from asking after each entry.
        self.child = subprocess.Popen(["ls", "-f", f"{self.folder}/{self.name}/."], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    def _meaning(self, status: int) -> str:
        if status < 0:  # killed by us, so it was stuck until now
            return report.STUCK
        is_mounted = self.name in mounts.below(mounts.read(), self.folder)
        if status == 0 and is_mounted:
            return report.OK
        return report.BROKEN if is_mounted else report.MISSING

    def _learn(self, state: str) -> None:
        if state == report.OK:
            self.answered_at = time.time()
        if state != self.known.state:
            self.known = State(state, time.time())
            print(f"{self.name}: {state}", file=sys.stderr, flush=True)

    def give_up(self) -> None:
        """The child is told to end."""
        if self.child is not None:
            self.child.kill()


class Prober:
    """All repositories, asked side by side by one thread that never blocks."""

    def __init__(self, names: Sequence[str], folder: str = FOLDER, every_s: float = EVERY_S, limit_s: float = LIMIT_S):
        self.repositories = [Repository(folder, name) for name in names]
        self.every_s, self.limit_s = every_s, limit_s
        self._ended = threading.Event()

    def go_on(self) -> None:
        """Ask again and again until `end`."""
        while not self._ended.wait(LOOK_S):
            for each in self.repositories:
                each.step(self.every_s, self.limit_s)

    def end(self) -> None:
        """Nobody is asked any more."""
        self._ended.set()
        for each in self.repositories:
            each.give_up()

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text for a path: / is the report, /health whether the prober itself is well."""
        if path == "/health":
            return 200, "ok\n"
        if path == "/metrics":
            return 200, metrics.page(self._families())
        if path != "/":
            return 404, "There is /, /health and /metrics.\n"
        return 200, report.text({each.name: each.known for each in self.repositories})

    def _families(self) -> Iterator[Metric]:
        asked = [each for each in self.repositories if each.known.state != report.UNKNOWN]
        yield metrics.CVMFS_UP.read(([each.name], each.known.state == report.OK) for each in asked)
        yield metrics.CVMFS_ANSWERED.read(([each.name], each.answered_at) for each in asked)


def main() -> None:
    """Nothing; answers until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # at once: no child is waited for
    names = [name for name in os.environ["MLINFN_CVMFS_REPOSITORIES"].split(",") if name]
    prober = Prober(names)
    threading.Thread(target=prober.go_on, daemon=True).start()
    loopback.server(prober.answer, int(os.environ["MLINFN_CVMFS_PORT"])).serve_forever()


if __name__ == "__main__":
    main()
