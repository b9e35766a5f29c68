"""Programs that a test starts: output in a file, stopped by their own process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil

from support import secrecy


class Program:
    """A program with its log. Starting it again appends to the log."""

    def __init__(
        self, argv: list[str], log: Path, environment: dict[str, str] | None = None, folder: Path | None = None
    ):
        self.argv, self.log, self.folder = argv, log, folder
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it in a process group of its own."""
        secrecy.run.watch(self.log)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            cwd=self.folder, env=self.environment, start_new_session=True)  # fmt: skip

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Its exit status. Raises TimeoutExpired if it does not end in time."""
        return self.process.wait(timeout_s)

    def stop(self, timeout_s: float = 20) -> None:
        """Ask it to end, and kill what is left of its group and its children after the limit."""
        children = self._children()
        if self.is_running:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        self.kill(children)

    def kill(self, children: tuple[psutil.Process, ...] = ()) -> None:
        """End it and its children at once, as the out-of-memory killer would, and as a container's end does."""
        if self.process is not None:
            children = (*children, *self._children())
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):  # it knows whether the number is another's by now
                    child.kill()

    def _children(self) -> tuple[psutil.Process, ...]:
        """Its children now, also those in a session of their own, as a hub's services are."""
        if not self.is_running:
            return ()
        with contextlib.suppress(psutil.NoSuchProcess):
            return tuple(psutil.Process(self.process.pid).children(recursive=True))
        return ()

    def text(self) -> str:
        """Everything that it has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
