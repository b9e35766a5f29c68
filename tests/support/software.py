"""CVMFS without CVMFS: a shared folder of the test's own, and FUSE servers on it that can be killed and frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyterhub_mlinfn import cvmfs, loopback
from jupyterhub_mlinfn.cli import cvmfs_service
from jupyterhub_mlinfn.cvmfs import probe
from support.process import Program
from support.wait import until

SERVER = Path(__file__).with_name("fuse_server.py")


class Repository:
    """One repository: its mount, and the server behind it."""

    def __init__(self, folder: Path, name: str, scratch: Path):
        self.name, self.place, self.scratch = name, folder / name, scratch
        self.program: Program | None = None

    def mount(self, **files: str) -> None:
        """Mount it with these files, here and in whatever has a copy of the folder."""
        self.place.mkdir(exist_ok=True)
        content = self.scratch / f"{self.name}.json"
        content.write_text(json.dumps({"here": self.name, **files}))
        argv = [sys.executable, str(SERVER), str(self.place), str(content), self.name]
        self.program = Program(argv, self.scratch / f"{self.name}.log")
        self.program.start()
        until(self._is_mounted, 10, f"{self.name} to be mounted")

    def _is_mounted(self) -> bool:
        assert self.program.is_running, self.program.text()
        return self.name in cvmfs.below(cvmfs.read(), str(self.place.parent))

    def kill(self) -> None:
        """Its server dies at once; the mount stays, and nothing is behind it."""
        self.program.kill()

    def freeze(self) -> None:
        """Its server answers nothing any more, until `thaw`."""
        os.kill(self.program.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It answers again."""
        os.kill(self.program.process.pid, signal.SIGCONT)

    def unmount(self) -> None:
        """The mount is gone, whoever is in it."""
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def close(self) -> None:
        """Nothing of it is left, in whatever state it was."""
        if self.program is not None:
            self.program.kill()
        while str(self.place) in [each.path for each in cvmfs.read()]:
            self.unmount()


class Software:
    """A folder with repositories, as the machine of a site has it."""

    def __init__(self, base: Path):
        self.base, self.folder = base, base / "cvmfs"
        self.repositories: list[Repository] = []

    def share(self) -> None:
        """As `mlinfn prepare` makes it; its line for /etc/fstab goes to a file of the test's."""
        cvmfs_service.share(self.folder, self.base / "fstab")

    def repository(self, name: str) -> Repository:
        """One that is not mounted yet."""
        self.repositories.append(Repository(self.folder, name, self.base))
        return self.repositories[-1]

    def settings(self, **more) -> dict:
        """The section `cvmfs` for a site with these repositories."""
        return {"repositories": [each.name for each in self.repositories], "folder": str(self.folder), **more}

    def close(self) -> None:
        """No mount and no server is left."""
        for each in self.repositories:
            each.close()
        while left := [each.path for each in cvmfs.read() if Path(each.path).is_relative_to(self.folder)]:
            subprocess.run(["umount", "--lazy", left[-1]], check=True)


@contextmanager
def folder_for_repositories(base: Path) -> Iterator[Software]:
    """In `base`, neither shared nor holding any yet; whatever is mounted there afterwards is gone."""
    made = Software(base)
    made.folder.mkdir()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def software(tmp_path: Path) -> Iterator[Software]:
    """A folder for repositories of one test."""
    base = tmp_path / "software"
    base.mkdir()
    with folder_for_repositories(base) as made:
        yield made


@contextmanager
def probing(software: Software, port: int) -> Iterator[probe.Prober]:
    """The prober of these repositories on a port, quicker than in real life."""
    names = [each.name for each in software.repositories]
    prober = probe.Prober(names, str(software.folder), every_s=0.3, limit_s=0.6)
    server = loopback.server(prober.answer, port)
    for work in (prober.go_on, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield prober
    finally:
        prober.end()
        server.shutdown()
        server.server_close()
