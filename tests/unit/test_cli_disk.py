"""The `mlinfn` command on a disk that is full or read-only: what needs no file works, the rest is one sentence."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
MLINFN = Path(sys.executable).with_name("mlinfn")
HOLDER = "import pathlib, sys; from jupyterhub_mlinfn.cli import turn\nwith turn.taken(pathlib.Path(sys.argv[1]), " \
         "'mlinfn up'):\n    print('in', flush=True)\n    sys.stdin.read()"  # fmt: skip


@pytest.fixture
def disk(tmp_path):
    """A small disk with the root of a site on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    (folder / "site/hub").mkdir(parents=True)
    (folder / "site/compose.env").touch()
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk):
    full = subprocess.run(["dd", "if=/dev/zero", f"of={disk}/much"], env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                          text=True, capture_output=True)  # fmt: skip
    assert "No space left" in full.stderr


def protect(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


def protect_locked(disk):
    (disk / ".site.lock").touch(mode=0o600)
    protect(disk)


each_fault = pytest.mark.parametrize("fault", [fill, protect, protect_locked])


@pytest.fixture
def mlinfn(disk, tmp_path):
    """Runs the command on that site, with an engine on which nothing runs; gives what it exited with and printed."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ $1 != info ] || echo {{}}\n')
    (tmp_path / "docker").chmod(0o755)
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"instance: mlinfntest-disk\nroot: {disk}/site\n"
                    "images: [{slug: lab, title: JupyterLab, image: mlinfn/lab}]\n")  # fmt: skip
    environment = {**os.environ, "MLINFN_CONFIG": str(path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(*words, stdout=subprocess.PIPE):
        return subprocess.run([MLINFN, *words], env=environment, text=True, stdout=stdout, stderr=subprocess.PIPE,
                              timeout=30)  # fmt: skip

    return run


@each_fault
def test_services_can_be_stopped(mlinfn, disk, tmp_path, fault):
    fault(disk)
    done = mlinfn("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The services of mlinfntest-disk are stopped." in done.stdout
    assert re.search(r" down$", (tmp_path / "asked").read_text(), re.MULTILINE)


@each_fault
def test_there_is_one_at_a_time_all_the_same(mlinfn, disk, fault):
    fault(disk)
    with subprocess.Popen([sys.executable, "-c", HOLDER, disk / "site"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:  # fmt: skip
        assert holder.stdout.readline() == "in\n"
        done = mlinfn("down")
        holder.stdin.close()
    assert done.returncode == 1
    assert done.stderr == (f"Another `mlinfn` changes what is in {disk}/site at this moment. Let it end, then try "
                           "again.\n")  # fmt: skip


@pytest.mark.parametrize(("fault", "why"), [(fill, "No space left on device"), (protect, "Read-only file system")])
def test_what_cannot_be_written_is_one_sentence(mlinfn, disk, fault, why):
    fault(disk)
    done = mlinfn("users", "add", "anna")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{disk}/site/hub/\S+: {why}\. See: mlinfn doctor\n", done.stderr)


def test_an_answer_that_cannot_be_written_is_one_sentence(mlinfn):
    with open("/dev/full", "w") as full:
        done = mlinfn("config", "show", stdout=full)
    assert (done.returncode, done.stderr) == (1, "No space left on device. See: mlinfn doctor\n")
