"""The images that tests start, built once: ours by images/build, and a plain one as anybody would make it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from jupyterhub_mlinfn import __version__
from support.machine_image import has_image, once, site_secrets
from support.places import CACHE, CHECKOUT

NAMES = ("base", "guard", "proxy", "iam-demo", "hub", "lab")
PLAIN = Path(__file__).parent / "plain-lab"


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> dict[str, str]:
    """References of our images by name, as this checkout builds them."""
    with once("images"):
        CACHE.mkdir(exist_ok=True)
        build = [sys.executable, str(CHECKOUT / "images/build"), f"--log={CACHE / 'images.log'}"]
        done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: f"mlinfn/{name}:{__version__}" for name in NAMES}


@pytest.fixture(scope="session")
def lab_image(images: dict[str, str]) -> str:
    """Our lab."""
    return images["lab"]


@pytest.fixture(scope="session")
def plain_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """A lab as people make it themselves: `pip install jupyterhub jupyterlab`, pinned, and nothing tuned."""
    inputs = b"".join(path.read_bytes() for path in sorted(PLAIN.iterdir()))
    base = engine.images.get(images["base"]).id
    tag = f"mlinfn-test/plain-lab:{hashlib.sha256(inputs + base.encode()).hexdigest()[:12]}"
    with once("plain-lab"):
        if not has_image(engine, tag):
            _build_plain(tag, images["base"])
    return tag


def _build_plain(tag: str, base: str) -> None:
    with site_secrets() as secrets:
        command = ["docker", "buildx", "build", "--builder=default", "--load", "--provenance=false", f"--tag={tag}",
                   f"--build-arg=BASE={base}", *secrets, str(PLAIN)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="session")
def archive(engine: docker.DockerClient, images: dict[str, str]) -> Path:
    """A file for `docker load` with all our images, written once for each set of them."""
    ids = "".join(engine.images.get(image).id for image in images.values())
    path = CACHE / f"images-{hashlib.sha256(ids.encode()).hexdigest()[:12]}.tar"
    with once("archive"):
        if not path.exists():
            _save(path, list(images.values()))
    return path


def _save(path: Path, references: list[str]) -> None:
    for old in CACHE.glob("images-*.tar*"):
        old.unlink()
    partial = path.with_suffix(".partial")
    subprocess.run(["docker", "save", "-o", str(partial), *references], check=True)
    partial.rename(path)
