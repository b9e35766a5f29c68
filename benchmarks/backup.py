"""How long snapshots take beside `tar | zstd`, and what they take on the disk. Prints ratios.

    python benchmarks/backup.py [--files 50000] [--megabytes 2000] [--days 30] [--folder /var/tmp]

Needs restic and zstd on the PATH, and three times the space of the data. The files are like notebooks: JSON with text,
and pictures in base64 that do not compress. Both sides write to the same disk, with what they read in the page cache.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jupyterhub_mlinfn.backup import planning
from jupyterhub_mlinfn.backup.restic import Restic
from jupyterhub_mlinfn.settings import Backup

WORDS = ("import", "numpy", "plot", "the", "histogram", "of", "events", "fit", "line", "data", "mass", "energy", "loss")
PICTURES = 0.5
"""Share of a notebook that is pictures."""
CHANGED = 0.01
LIMITS = {"first snapshot / tar | zstd": 3.0, "unchanged snapshot / first": 0.15, "month of snapshots / first": 1.4}


def main() -> int:
    """Exit status: 0 if every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the usual temporary one)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mlinfn-backup-", dir=asked.folder))
    try:
        measured = measure(folder, asked)
    finally:
        shutil.rmtree(folder)
    for name, limit in LIMITS.items():
        verdict = "met" if measured[name] <= limit else "missed"
        print(f"{name:28} {measured[name]:.2f}x  at most {limit:.2f}x: {verdict}")
    return any(measured[name] > limit for name, limit in LIMITS.items())


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Each ratio by its name."""
    chance, home = random.Random(1), folder / "homes"
    notebooks = make(home, asked.files, asked.megabytes * 10**6 // asked.files, chance)
    (folder / "key").write_text("a key\n")
    restic = Restic(str(folder / "copies"), folder / "key", folder / "cache", {})
    restic.ask("init")
    words = planning.snapshot_words("homes", home, "benchmark", Backup().exclude)
    archived_s = seconds("tar | zstd", lambda: archive(home, folder / "all.tar.zst"))
    first_s = seconds("first snapshot", lambda: restic.ask(*words))
    again_s = seconds("unchanged snapshot", lambda: restic.ask(*words))
    first = size(folder / "copies")
    print(f"repository {first / 1e6:.0f} MB, archive {(folder / 'all.tar.zst').stat().st_size / 1e6:.0f} MB")
    for _ in range(asked.days):
        for path in chance.sample(notebooks, max(1, round(len(notebooks) * CHANGED))):
            path.write_text(notebook(path.stat().st_size, chance))
        restic.ask(*words)
    print(f"repository after {asked.days} days with {CHANGED:.0%} change: {size(folder / 'copies') / 1e6:.0f} MB")
    return dict(zip(LIMITS, (first_s / archived_s, again_s / first_s, size(folder / "copies") / first), strict=True))


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


def seconds(name: str, work: Callable[[], object]) -> float:
    """How long it took."""
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
