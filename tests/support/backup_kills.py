"""Runs and restores that are killed at random moments, the short one in which folders change places among them.

Each says where it was killed, and from which seed its moments come: MLINFN_TEST_SEED=N gives the same again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import docker
import psutil
import pytest

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.cli import put_back
from jupyterhub_mlinfn.cli.backup_container import name_of
from support import backups
from support.backup_site import BackupSite
from support.process import Program
from support.wait import until

STARTS_S = 0.3
"""Nothing of a run or a restore has begun by then."""
FIRST_S, FIRST_SWAP_S = 2.0, 0.005
"""How long a restore and its swap are thought to last, before one is measured."""
Aim = Literal["files", "everything", "swap"]
"""A restore of files, of everything, or that moment of it in which folders change places."""
PLACES = {"homes": "users", "groups": "groups", "shared": "shared", "rooms": "rooms"}
"""What is compared to the last bit: folder among the sources, and folder below the root."""


def dice() -> random.Random:
    """Chance that can be had again."""
    seed = int(os.environ.get("MLINFN_TEST_SEED", random.randrange(10**6)))
    print(f"MLINFN_TEST_SEED={seed}")
    return random.Random(seed)


def killed_runs(site: BackupSite, count: int, *, thorough: bool = False) -> Counter[str]:
    """How many runs were killed at which step, if the next run, which ends with a check, was good after each.

    If it is thorough, there is a check before that run as well, and each run may do what is done once a day: remove
    what is not kept, and restore a sample.
    """
    chance, told = dice(), Counter()
    while told.total() < count:
        number = told.total()
        (site.folder / f"data/homes/zoe/new{number}").write_bytes(os.urandom(8 << 20))
        known = state.load(site.place.state, site.url)
        if thorough:
            state.save(site.place.state, dataclasses.replace(known, tidied="", verified=""))
        program = site.program("run")
        if (after_s := killed(program, chance.uniform(STARTS_S, STARTS_S + known.duration_s))) is None:
            continue
        until(site.is_idle, 10, "the last process of the run to be gone")
        told[step := last_step(program)] += 1
        print(f"run killed after {after_s:.2f} s: {step}")
        if thorough:
            is_sound(site)
        after = site.run()
        assert (after.reason, after.trouble) == ("", "")
    assert not list((site.folder / "state").glob("scratch*"))
    return told


def killed(program: Program, after_s: float) -> float | None:
    """When it was killed, in seconds from its start; None if it had ended by itself."""
    program.log.unlink(missing_ok=True)
    program.start()
    try:
        program.wait(after_s)
    except subprocess.TimeoutExpired:
        children = psutil.Process(program.process.pid).children(recursive=True)
        program.kill()
        psutil.wait_procs(children, 10)  # until init has taken them: restic takes a zombie for alive
        return after_s
    assert program.wait(0) == 0, program.text()
    return None


def last_step(program: Program) -> str:
    """What a run said last that it does."""
    lines = [line for line in program.text().splitlines() if line.startswith("{") and line.endswith("}")]
    return json.loads(lines[-1]).get("progress", {}).get("step", "the end") if lines else "the start"


def is_sound(site: BackupSite) -> None:
    """Nothing, if the repository has no damage, and no lock that a run could not remove."""
    one = site.one_run()
    one.unlock()
    one.check()


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a keeper gets back: words of `mlinfn`, the folder that is filled beside, and what is seen at the place."""

    words: tuple[str, ...]
    partial: Path
    signs: Sequence[Path]
    """What is there as soon as everything is ready, and one after another while folders change places."""
    seen: Callable[[], str]
    """ "old" or "new" if one of them is there whole, "between" if folders changed places. Fails for anything else."""
    reset: Callable[[], None]


class Keeper:
    """Somebody who restores on the machine of a site, with containers of the image `backup`."""

    def __init__(self, site: BackupSite, folder: Path, engine: docker.DockerClient):
        self.site, self.folder, self.engine = site, folder, engine
        (folder / "temporary").mkdir()
        self.whole = {place: backups.seen_below(site.folder / "data" / kind) for kind, place in PLACES.items()}
        self.reset()

    def files(self) -> Wanted:
        """A home into a new folder."""
        to, whole = self.folder / "back", backups.seen_below(self.site.folder / "data/homes/zoe")

        def seen() -> str:
            assert not to.exists() or backups.seen_below(to) == whole
            return "new" if to.exists() else "old"

        words = ("backup", "restore", "homes/zoe", "--to", str(to))
        partial = self.folder / ".back.restoring"
        return Wanted(words, partial, (), seen, lambda: shutil.rmtree(to, ignore_errors=True))

    def everything(self) -> Wanted:
        """A machine's data, in the place of somebody else's."""
        key = self.site.folder / "secrets/backup_key"
        words = ("restore", "--from", self.site.url, "--key", str(key))
        partial, before = self.site.root / put_back.STAGING, self.site.root / put_back.BEFORE
        signs = (partial / put_back.COMPLETE, *(before / place for place in PLACES.values()))
        return Wanted(words, partial, signs, self._seen_of_all, self.reset)

    def reset(self) -> None:
        """The machine as it was before everything is restored."""
        shutil.rmtree(self.site.root, ignore_errors=True)
        for place in PLACES.values():
            (self.site.root / place / "somebody").mkdir(parents=True)
            (self.site.root / place / "somebody/file").write_text("was here before")
        secrets = self.site.root / "secrets/backup"
        shutil.copytree(self.site.folder / "secrets", secrets)
        (self.site.root / "backup").mkdir()

    def _seen_of_all(self) -> str:
        seen = {place: self._seen_at(place) for place in PLACES.values()}
        if len(set(seen.values())) == 1 and "none" not in seen.values():
            return next(iter(seen.values()))
        assert put_back.is_complete(self.site.root), f"nothing keeps this from being started: {seen}"
        return "between"

    def _seen_at(self, place: str) -> str:
        path = self.site.root / place
        if not path.exists():
            return "none"
        if os.listdir(path) == ["somebody"]:
            assert (path / "somebody/file").read_text() == "was here before"
            return "old"
        assert backups.seen_below(path) == self.whole[place]
        return "new"

    def program(self, wanted: Wanted) -> Program:
        """The command, not started. A killed one leaves something in its temporary folder."""
        environment = {**backups.environment(self.site.config), "TMPDIR": str(self.folder / "temporary")}
        return Program(backups.command(*wanted.words), self.folder / "restore.log", environment)

    def close(self) -> None:
        """No container that reads or fills a folder of the site is left."""
        for container in self.engine.containers.list(all=True, ignore_removed=True):
            if any(each["Source"].startswith(str(self.site.folder)) for each in container.attrs["Mounts"]):
                container.remove(force=True)


@pytest.fixture
def keeper(backup_site: BackupSite, engine: docker.DockerClient, tmp_path: Path) -> Iterator[Keeper]:
    """Somebody who restores what the site's target has; no container is left afterwards."""
    made = Keeper(backup_site, tmp_path, engine)
    yield made
    made.close()


def killed_restores(keeper: Keeper, aims: Sequence[Aim]) -> Counter[str]:
    """How many restores were killed at which step, if nothing half was to be seen and the next one did it all."""
    chance, told = dice(), Counter()
    files, everything = keeper.files(), keeper.everything()
    lasts_s, swap_s = {files: FIRST_S, everything: FIRST_S}, FIRST_SWAP_S
    while told.total() < len(aims):
        aim = aims[told.total()]
        wanted = files if aim == "files" else everything
        wanted.reset()
        moment_s = chance.uniform(STARTS_S, lasts_s[wanted])
        if aim == "swap":  # it is short, and most of it is cleaning up
            moment_s = swap_s * chance.random() ** 5
        if (how := struck(keeper, wanted, moment_s, aim == "swap", chance)) is None:
            continue
        told[f"{aim}: {(step := step_of(wanted))}"] += 1
        print(f"{aim} killed after {moment_s:.4f} s: {step}; {how}")
        is_sound(keeper.site)
        lasts_s[wanted], swapped_s = whole(keeper, wanted)
        swap_s = swapped_s or swap_s
        assert wanted.seen() == "new"
    return told


def struck(keeper: Keeper, wanted: Wanted, moment_s: float, in_swap: bool, chance: random.Random) -> str | None:
    """Who was killed: the command, whose container goes on, or the container; None if all was done by then."""
    program = keeper.program(wanted)
    program.log.unlink(missing_ok=True)
    program.start()
    if in_swap:
        wait_for(lambda: (wanted.partial / "service").exists() or not program.is_running, every_s=1e-3)
        sign = str(chance.choice(wanted.signs))
        wait_for(lambda: os.path.exists(sign) or not program.is_running)
    end = time.perf_counter() + moment_s
    wait_for(lambda: time.perf_counter() >= end or not (in_swap or program.is_running), every_s=0 if in_swap else 1e-3)
    if not program.is_running:
        assert program.wait(0) == 0, program.text()
        return None
    found = [] if in_swap else keeper.engine.containers.list(filters={"name": name_of(wanted.partial)})
    if found and chance.random() < 0.5:
        with contextlib.suppress(docker.errors.APIError):  # it has ended this moment
            found[0].kill()
        return "its container was killed" if program.wait(20) else None
    os.killpg(program.process.pid, signal.SIGKILL)
    program.kill()
    return f"it was killed{', its container goes on' if found else ''}"


def wait_for(condition: Callable[[], bool], every_s: float = 0) -> None:
    """Nothing, as soon as it is so: moments here are of less than a thousandth of a second."""
    while not condition():
        time.sleep(every_s)


def step_of(wanted: Wanted) -> str:
    """What a restore that was killed did, by what is to be seen."""
    seen = wanted.seen()
    if seen != "old":
        return {"new": "all was in its place", "between": "some folders had changed places"}[seen]
    if (wanted.partial / put_back.COMPLETE).exists():
        return "all was ready to change places"
    is_begun = wanted.partial.exists() and os.listdir(wanted.partial)
    return "some was restored beside" if is_begun else "nothing was restored"


def whole(keeper: Keeper, wanted: Wanted) -> tuple[float, float | None]:
    """How long a restore took, and its swap, where it had all to do."""
    program, marker = keeper.program(wanted), wanted.partial / put_back.COMPLETE
    if wanted.seen() == "new" and not wanted.partial.exists():  # it had done all when it was killed
        wanted.reset()
    began, was_ready = time.perf_counter(), marker.exists()
    program.start()
    wait_for(lambda: marker.exists() or not program.is_running, every_s=1e-4)
    ready = time.perf_counter()
    wait_for(lambda: not wanted.partial.exists() or not program.is_running, every_s=1e-4)
    swapped = time.perf_counter()
    assert program.wait(60) == 0, program.text()
    return time.perf_counter() - began, None if was_ready else swapped - ready
