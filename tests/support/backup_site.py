"""A target and what is copied to it, without a container: the service as a process, with the restic of our image."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.backup.place import KEY, Place
from jupyterhub_mlinfn.backup.target import Run, back_up
from jupyterhub_mlinfn.backup.trouble import Trouble
from support import backups
from support.process import Program
from support.wait import until


class BackupSite:
    """Sources, state and a target in a folder, as the service has them in its container."""

    def __init__(self, folder: Path):
        self.folder, self.url = folder, str(folder / "copies")
        backups.fill(folder / "root")
        for kind, name in (("homes", "users"), ("groups", "groups"), ("rooms", "rooms")):
            (folder / "data").mkdir(exist_ok=True)
            (folder / "root" / name).rename(folder / "data" / kind)
        (folder / "data/service/hub/export").mkdir(parents=True)
        (folder / "data/service/hub/live.sqlite").write_text("in use")
        (folder / "data/service/hub/export/live.sqlite").write_text("a copy")
        for made in ("secrets", "copies"):
            (folder / made).mkdir()
        (folder / "secrets" / KEY).write_text("the key\n")
        config = folder / "mlinfn.yaml"
        config.write_text("images: [{slug: lab, title: Lab, image: mlinfn/lab}]\n"
                          f"backup: {{targets: ['{self.url}']}}\n")
        self.environment = {"MLINFN_CONFIG": str(config), "PATH": os.environ["PATH"], "PYTHONPATH": backups.PATH,
                            **{f"MLINFN_BACKUP_{name.upper()}": str(folder / place) for name, place in
                               (("sources", "data"), ("state", "state"), ("secrets", "secrets"))}}  # fmt: skip
        self.place = Place.from_environment(self.environment)

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


def killed_runs(site: BackupSite, count: int) -> None:
    """Nothing, if after each of so many runs that were killed the repository is sound and the next run good."""
    for number in range(count):
        (site.folder / f"data/homes/zoe/new{number}").write_bytes(os.urandom(8 << 20))
        program = site.program("run")
        program.start()
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(random.uniform(0.5, 4))
        program.kill()
        until(site.is_idle, 10, "the last process of the run to be gone")
        after = site.run()
        assert (after.reason, after.trouble) == ("", "")
    assert not list((site.folder / "state").glob("scratch*"))
