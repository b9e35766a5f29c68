"""How long snapshots take beside `tar | zstd`, what they take on the disk, and what a lab's start takes meanwhile.

    .venv/bin/python benchmarks/backup.py [--files 50000] [--megabytes 2000] [--days 30] [--starts 16] [--folder DIR]

Prints ratios. Needs restic, cpulimit and zstd on the PATH, and four times the space of the data. The files are like
notebooks: JSON with text, and pictures in base64 that do not compress. Both sides write to the same disk, with what
they read in the page cache.

The starts are of our lab in a whole instance, by Compose, whose service `backup` makes its first snapshot of the same
files. A few starts without it and a snapshot take turns. The engine, the images and the programs that the tests need
must be there: `./test.sh -m stack -k backups` makes them. `--starts 0` leaves this out.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import images
from support.places import test_name
from support.stack import SERVICES, Stack
from support.wait import until

from jupyterhub_mlinfn.backup import planning
from jupyterhub_mlinfn.backup import state as states
from jupyterhub_mlinfn.backup.restic import Restic
from jupyterhub_mlinfn.settings import Backup

WORDS = ("import", "numpy", "plot", "the", "histogram", "of", "events", "fit", "line", "data", "mass", "energy", "loss")
PICTURES = 0.5
"""Share of a notebook that is pictures."""
CHANGED = 0.01
LIMITS = {"first snapshot / tar | zstd": 3.0, "unchanged snapshot / first": 0.15, "month of snapshots / first": 1.4,
          "start during a snapshot / not": 1.2}  # fmt: skip
ROUNDS = 3
"""Of archive, first and unchanged snapshot; the ratios are medians."""
TURN = 4
"""Starts without a snapshot between two with one."""


def main() -> int:
    """Exit status: 0 if every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--starts", type=int, default=16, help="least number of starts of each kind (default: 16)")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the usual temporary one)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mlinfn-backup-", dir=asked.folder))
    try:
        measured = measure(folder, asked)
    finally:
        shutil.rmtree(folder)
    for name, ratio in measured.items():
        verdict = "met" if ratio <= LIMITS[name] else "missed"
        print(f"{name:30} {ratio:.2f}x  at most {LIMITS[name]:.2f}x: {verdict}")
    return any(ratio > LIMITS[name] for name, ratio in measured.items())


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Each ratio by its name."""
    chance, home = random.Random(1), folder / "homes"
    notebooks = make(home, asked.files, asked.megabytes * 10**6 // asked.files, chance)
    (folder / "key").write_text("a key\n")
    restic = Restic(str(folder / "copies"), folder / "key", folder / "cache", {})
    words = planning.snapshot_words("homes", home, "benchmark", "0", Backup().exclude)
    rounds = [one_round(home, folder, restic, words) for _ in range(ROUNDS)]
    first = size(folder / "copies")
    print(f"repository {first / 1e6:.0f} MB, archive {(folder / 'all.tar.zst').stat().st_size / 1e6:.0f} MB")
    for _ in range(asked.days):
        for path in chance.sample(notebooks, max(1, round(len(notebooks) * CHANGED))):
            path.write_text(notebook(path.stat().st_size, chance))
        restic.ask(*words)
    print(f"repository after {asked.days} days with {CHANGED:.0%} change: {size(folder / 'copies') / 1e6:.0f} MB")
    ratios = [statistics.median(first_s / archived_s for archived_s, first_s, _ in rounds),
              statistics.median(again_s / first_s for _, first_s, again_s in rounds), size(folder / "copies") / first]
    shutil.rmtree(folder / "copies")
    return dict(zip(LIMITS, [*ratios, *(starts(home, folder, asked.starts) if asked.starts else [])], strict=False))


def one_round(home: Path, folder: Path, restic: Restic, words: list[str]) -> tuple[float, float, float]:
    """Seconds of an archive, of a first snapshot and of one of what has not changed; each begins with an idle disk."""
    for each in ("copies", "cache"):
        shutil.rmtree(folder / each, ignore_errors=True)
    restic.create()
    return (seconds("tar | zstd", lambda: archive(home, folder / "all.tar.zst")),
            seconds("first snapshot", lambda: restic.ask(*words)),
            seconds("unchanged snapshot", lambda: restic.ask(*words)))  # fmt: skip


def make(home: Path, count: int, length: int, chance: random.Random) -> list[Path]:
    """The files, a hundred in each folder."""
    paths = [home / f"{number // 100}" / f"notebook-{number}.ipynb" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook(length, chance))
    return paths


def notebook(length: int, chance: random.Random) -> str:
    """Text of about this length."""
    picture = base64.b64encode(chance.randbytes(int(length * PICTURES * 0.75))).decode()
    text = " ".join(chance.choices(WORDS, k=max(1, int(length * (1 - PICTURES) / 6))))
    return json.dumps({"cells": [{"source": text, "outputs": [{"image/png": picture}]}], "nbformat": 4})


def archive(home: Path, path: Path) -> None:
    """Everything in one file, as people do it without a program for backups."""
    with path.open("wb") as out, subprocess.Popen(["tar", "-C", home, "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["zstd", "-q", "-T0"], stdin=tar.stdout, stdout=out, check=True)


def starts(home: Path, folder: Path, least: int) -> list[float]:
    """The ratio of the median start during a snapshot to that without."""
    engine = docker.from_env(timeout=120)
    inspect.unwrap(images.images)(engine)
    stack = Stack(folder / "stack", test_name(), engine, backup={"targets": [str(folder / "target")]})
    times: dict[str, list[float]] = {"without a snapshot": [], "during a snapshot": []}
    try:
        stack.prepare()
        home.rename(stack.root / "users/zoe")
        stack.up(*SERVICES)
        stack.add_user("anna")
        start_s(stack)  # the first is not counted
        while min(map(len, times.values())) < least:
            times["without a snapshot"] += [start_s(stack) for _ in range(TURN)]
            times["during a snapshot"] += beside_a_snapshot(stack, folder / "target")
    finally:
        stack.close()
    medians = [statistics.median(each) for each in times.values()]
    for (name, each), median in zip(times.items(), medians, strict=True):
        print(f"start {name:18} {median:6.2f} s ({min(each):.2f} to {max(each):.2f}, {len(each)} times)")
    return [medians[1] / medians[0]]


def start_s(stack: Stack) -> float:
    """How long a lab took to start, which is gone again."""
    began = time.monotonic()
    stack.api.start("anna", memory="512M", cpus="1")
    took_s = time.monotonic() - began
    stack.api.stop("anna")
    return took_s


def beside_a_snapshot(stack: Stack, target: Path) -> list[float]:
    """How long starts took of which each was over before the service's first snapshot of the homes was."""
    for each in (*target.iterdir(), *(stack.root / "backup").iterdir()):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    stack.compose("up", "--detach", "--no-deps", "backup")
    until(lambda: known(stack, target).repository, 60, "the snapshot to begin")
    began, took_s = time.monotonic(), [start_s(stack)]
    while "homes" not in (now := known(stack, target)).kinds:
        if now.ended:
            sys.exit(f"There was no snapshot: {now.trouble}")
        took_s.append(start_s(stack))
    print(f"{'snapshot by the service':24} {time.monotonic() - began:6.1f} s", flush=True)
    stack.compose("rm", "--stop", "--force", "backup")
    os.sync()  # or it would still be written while nothing should
    return took_s[:-1]


def known(stack: Stack, target: Path) -> states.State:
    """What the service knows of its target."""
    return states.load(stack.root / "backup", str(target))


def seconds(name: str, work: Callable[[], object]) -> float:
    """How long it took."""
    os.sync()  # or what was written before would still be on its way
    began = time.monotonic()
    work()
    took_s = time.monotonic() - began
    print(f"{name:24} {took_s:6.1f} s", flush=True)
    return took_s


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
