"""Images of empty machines: Debian as debootstrap leaves it, made once from the archive that this machine uses."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import inspect
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import docker
from docker.errors import ImageNotFound

from support.places import CACHE, CHECKOUT

REPOSITORY = "mlinfn-test/machine"


def _configuration() -> ModuleType:
    """images/machine.py, which knows what this machine's apt, pip and npm are told."""
    spec = importlib.util.spec_from_file_location("images_machine", CHECKOUT / "images/machine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def once(name: str) -> Iterator[None]:
    """Nobody else on this machine, in this checkout, makes the thing of that name meanwhile."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_image(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine holds the image."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def bare_image(client: docker.DockerClient, suite: str = "bookworm") -> str:
    """Tag of a Debian of that suite with nothing but certificate authorities added; made if it is not there."""
    key = hashlib.sha256(inspect.getsource(_bootstrap).encode()).hexdigest()[:12]
    tag = f"{REPOSITORY}:{suite}-{key}"
    with once(f"machine-{suite}"):
        if not has_image(client, tag):
            _bootstrap(suite, tag)
    return tag


def _bootstrap(suite: str, tag: str) -> None:
    archive = _configuration().archive()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="machine-", dir=CACHE) as folder:
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, folder]
        subprocess.run([*command, *([archive[0]] if archive else [])], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(Path(folder, "dev"))
        tar = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "import", "-", tag], stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True)
        if tar.wait():
            raise RuntimeError("The machine's file system could not be packed.")


def site_files(suite: str = "bookworm") -> bytes:
    """A tar of what a machine of this site has: sources for apt, configuration of pip and npm, authorities."""
    here = _configuration()
    files = {
        "etc/apt/sources.list.d/debian.sources": here.apt_sources(suite),
        "etc/apt/sources.list": "",
        "etc/pip.conf": here.pip_configuration(),
        "root/.npmrc": f"cafile={here.BUNDLE}\n{here.npm_configuration()}",
    }
    with tempfile.TemporaryDirectory() as folder:
        here.write_authorities(Path(folder))
        for path in Path(folder).iterdir():
            files[f"usr/local/share/ca-certificates/{path.name}"] = path.read_text()
    return tar_of(files)


@contextmanager
def site_secrets() -> Iterator[list[str]]:
    """Arguments for `docker buildx build` that let its steps use apt, pip and npm as this machine does."""
    with tempfile.TemporaryDirectory() as folder:
        secrets = _configuration().write(Path(folder), "trixie")
        yield [f"--secret=id={name},src={path}" for name, path in secrets.items()]


def tar_of(files: dict[str, str]) -> bytes:
    """A tar of small text files, by path without a leading slash."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o600 if name.startswith("root/") else 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
