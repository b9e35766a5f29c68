"""Data that is hard to copy, a picture of it to compare with, a real S3, and restic as our image has it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from support import secrecy
from support.places import CACHE, CHECKOUT, free_ports
from support.process import Program
from support.wait import until

ZOE, BORIS, ROOM, GROUP = 71001, 71002, 71003, 91001
# One more may read and write (uid 71002), one group may read: what setfacl writes, as the kernel keeps it.
ACL = bytes.fromhex(f"02000000 01000600ffffffff 02000600{BORIS.to_bytes(4, 'little').hex()} "
                    "04000400ffffffff 10000600ffffffff 20000000ffffffff")  # fmt: skip
PATH = str(CHECKOUT)
"""Where a process of a test's own finds this package."""
DEEP = "/".join(["d" * 200] * 19)
"""A path of 4,000 characters, from the root of the file system on."""


def fill(root: Path) -> None:
    """Homes and a group's folder with all that people have and programs stumble over."""
    zoe = root / "users/zoe"
    for folder, owner in ((zoe, ZOE), (root / "users/boris", BORIS), (root / "rooms/cms", ROOM)):
        folder.mkdir(mode=0o700, parents=True)
        os.chown(folder, owner, owner)
    (root / "groups/cms").mkdir(parents=True)
    os.chown(root / "groups/cms", 0, GROUP)
    (root / "groups/cms").chmod(0o2770)
    odd = [b"new\nline", b"bad\xff\xfename", b"[glob]*?\\", " ünï".encode(), b"-rf", b"$HOME"]
    for number, name in enumerate(odd):
        _write(os.fsencode(zoe) + b"/" + name, f"odd {number}\n".encode())
    _write(zoe / "closed", b"mine alone\n", mode=0o000)
    _write(zoe / "run.sh", b"#!/bin/sh\n", mode=0o4755)
    _write(root / "groups/cms/shared.txt", b"ours\n", mode=0o660, owner=(ZOE, GROUP))
    os.setxattr(root / "groups/cms/shared.txt", "system.posix_acl_access", ACL)
    _write(root / "rooms/cms/notebook.ipynb", b"{}", owner=(ROOM, ROOM))
    _sparse(zoe / "sparse")
    (zoe / "link").symlink_to("../boris/secret")
    os.link(zoe / "closed", zoe / "same")
    _left_out(zoe)
    _deep(zoe)


def _write(path: Any, content: bytes, mode: int = 0o644, owner: tuple[int, int] = (ZOE, ZOE)) -> None:
    with open(path, "wb") as file:
        file.write(content)
    os.chown(path, *owner)
    os.chmod(path, mode)
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_001_987_654_321))


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")


def _left_out(home: Path) -> None:
    for folder in (".cache/pip", "scratch"):
        (home / folder).mkdir(parents=True)
        (home / folder / "large").write_text("not copied")
    (home / "scratch/.mlinfn-noback").touch()


def _deep(home: Path) -> None:
    """By steps: no system call takes such a path at once."""
    here = os.open(home, os.O_RDONLY)
    for name in DEEP.split("/"):
        os.mkdir(name, dir_fd=here)
        here, above = os.open(name, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)


def picture(root: Path) -> dict[str, dict]:
    """All that is to come back of people, groups and rooms."""
    return {top: seen_below(root / top) for top in ("users", "groups", "shared", "rooms")}


def seen_below(top: Path) -> dict[bytes, tuple]:
    """Path -> kind, rights, owner, time, content, ACL; without what is left out of snapshots."""
    found: dict[bytes, tuple] = {}
    for folder, _, names, handle in os.fwalk(os.fsencode(top)):
        relative = os.path.relpath(folder, os.fsencode(top))
        if relative != b".":
            found[relative] = _seen(b".", handle)
        found |= {relative + b"/" + name: _seen(name, handle) for name in names}
    return {path: seen for path, seen in found.items() if not {b".cache", b"scratch"} & set(path.split(b"/"))}


def _seen(name: bytes, folder: int) -> tuple:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    content = xattrs = links = None
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(name, dir_fd=folder)
    elif stat.S_ISREG(status.st_mode):
        with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
            links = status.st_nlink
            xattrs = {each: os.getxattr(file.fileno(), each) for each in sorted(os.listxattr(file.fileno()))}
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, links, content, xattrs


@contextlib.contextmanager
def decayed(repository: Path, cache: Path, *, lists: bool) -> Iterator[None]:
    """The middle of the largest pack has lost a bit: of those with lists of files, which are in the cache, or not."""
    cached = {path.name for path in cache.glob("*/data/*/*")}
    packs = [path for path in repository.glob("data/*/*") if (path.name in cached) == lists]
    pack = max(packs, key=lambda path: path.stat().st_size)
    whole = pack.read_bytes()
    middle = len(whole) // 2
    pack.chmod(0o600)
    pack.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
    try:
        yield
    finally:
        pack.write_bytes(whole)


def command(*words: str) -> list[str]:
    """`mlinfn WORDS` as a program, which finds this package by PATH."""
    return [sys.executable, "-c", "from jupyterhub_mlinfn.cli import main; main()", *words]


def environment(config: Path) -> dict[str, str]:
    """What it needs to work on the instance of a settings file."""
    return {**os.environ, "MLINFN_CONFIG": str(config), "PYTHONPATH": PATH}


def mlinfn(config: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess:
    """What `mlinfn WORDS` did."""
    return subprocess.run(command(*words), input=typed, capture_output=True, text=True, env=environment(config),
                          timeout=300)  # fmt: skip


def answered(config: Path, *words: str, typed: str = "") -> Any:
    """The JSON that `mlinfn WORDS --json` answered, which has to be well."""
    done = mlinfn(config, *words, "--json", typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def restic(engine: docker.DockerClient, images: dict[str, str]) -> Path:
    """The folder of the program restic that is in our image."""
    folder = CACHE / f"restic-{engine.images.get(images['backup']).id.removeprefix('sha256:')[:12]}"
    if not (folder / "restic").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["docker", "run", "--rm", "--entrypoint=cat", images["backup"], "/usr/bin/restic"]
        partial = folder / f"partial-{os.getpid()}"  # another worker may be doing the same
        partial.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
        partial.chmod(0o755)
        partial.rename(folder / "restic")
    return folder


class S3(Program):
    """SeaweedFS with one bucket's worth of access."""

    def __init__(self, folder: Path):
        self.port, self.folder_ = free_ports(), folder
        self.key, self.secret = "backup", secrecy.run.keep(secrets.token_hex(16))
        grants = {"identities": [{"name": "backup", "actions": ["Admin", "Read", "Write", "List"],
                                  "credentials": [{"accessKey": self.key, "secretKey": self.secret}]}]}  # fmt: skip
        (folder / "s3.json").write_text(json.dumps(grants))
        ports = zip(("master", "volume", "filer", "s3"), range(self.port, self.port + 4), strict=True)
        super().__init__(
            [str(Path(sys.executable).parent / "weed"), "server", f"-dir={folder}", "-ip=127.0.0.1",
             "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={folder / 's3.json'}",
             "-master.volumeSizeLimitMB=64", *(f"-{name}.port={port}" for name, port in ports)],
            folder / "s3.log", folder=folder)  # fmt: skip

    @property
    def url(self) -> str:
        """The target."""
        return f"s3:http://127.0.0.1:{self.port + 3}/copies"

    @property
    def credentials(self) -> str:
        """What targets.ini has of it."""
        return f"[{self.url}]\nAWS_ACCESS_KEY_ID = {self.key}\nAWS_SECRET_ACCESS_KEY = {self.secret}\n"

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port + 3}/", timeout=2).status_code < 500
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 on this machine."""
    program = S3(tmp_path_factory.mktemp("s3"))
    program.start()
    try:
        until(program.answers, 60, "S3 to answer", every_s=0.2)
        yield program
    finally:
        program.stop(5)
