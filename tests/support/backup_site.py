"""A target and what is copied to it, without a container: the service as a process, with the restic of our image."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.backup.place import KEY, Place
from jupyterhub_mlinfn.backup.target import Run, back_up
from jupyterhub_mlinfn.backup.trouble import Trouble
from support import backups
from support.places import test_name
from support.process import Program


class BackupSite:
    """Sources, state and a target in a folder, as the service has them in its container."""

    def __init__(self, folder: Path):
        self.folder, self.url, self.root = folder, str(folder / "copies"), folder / "machine"
        backups.fill(folder / "root")
        for kind, name in (("homes", "users"), ("groups", "groups"), ("rooms", "rooms")):
            (folder / "data").mkdir(exist_ok=True)
            (folder / "root" / name).rename(folder / "data" / kind)
        (folder / "data/shared").mkdir()
        self.config = folder / "mlinfn.yaml"
        self.config.write_text(f"instance: {test_name()}\nroot: {self.root}\n"
                               "images: [{slug: lab, title: Lab, image: mlinfn/lab}]\n"
                               f"backup: {{targets: ['{self.url}']}}\n")
        self._fill_service(folder / "data/service")
        for made in ("secrets", "copies"):
            (folder / made).mkdir()
        (folder / "secrets" / KEY).write_text("the key\n")
        self.environment = {"MLINFN_CONFIG": str(self.config), "PATH": os.environ["PATH"], "PYTHONPATH": backups.PATH,
                            "MLINFN_BACKUP_HOST": platform.node(),
                            **{f"MLINFN_BACKUP_{name.upper()}": str(folder / place) for name, place in
                               (("sources", "data"), ("state", "state"), ("secrets", "secrets"))}}  # fmt: skip
        self.place = Place.from_environment(self.environment)

    def _fill_service(self, folder: Path) -> None:
        for name, text in (("hub/live.sqlite", "in use"), ("hub/export/live.sqlite", "a copy"),
                           ("hub/export/.live.sqlite", "half a copy"),
                           (f"secrets/backup/{KEY}", "the key\n"), ("settings/mlinfn.yaml", self.config.read_text())):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    def run(self, **changes) -> state.State:
        """The state after a run."""
        return back_up(dataclasses.replace(self.place, **changes), self.url, lambda told: None)

    def one_run(self) -> Run:
        """A run of which a test calls what it wants."""
        return Run(self.place, self.place.restic(self.url), lambda told: None)

    def is_idle(self) -> bool:
        """Whether nothing of ours works on the target."""
        try:
            with state.alone(self.place.state, self.url):
                return True
        except Trouble:
            return False

    def decayed(self, *, lists: bool) -> contextlib.AbstractContextManager[None]:
        """The target has lost a bit, of its lists of files or of their bytes."""
        return backups.decayed(Path(self.url), self.place.state / "cache", lists=lists)

    def program(self, *words: str) -> Program:
        """A run in a process of its own, not started."""
        argv = [sys.executable, "-m", "jupyterhub_mlinfn.backup", *words]
        return Program(argv, self.folder / "run.log", self.environment)


@pytest.fixture(scope="session")
def backup_site(restic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupSite]:
    """A target that has had one good run, with the restic of our image."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{restic}:{before}"
    made = BackupSite(tmp_path_factory.mktemp("backup"))
    assert made.run().reason == ""
    yield made
    os.environ["PATH"] = before
