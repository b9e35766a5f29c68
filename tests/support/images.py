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

NAMES = ("base", "guard", "monitoring", "proxy", "iam-demo", "hub", "backup", "lab")
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> dict[str, str]:
    """References of our images by name, as this checkout builds them."""
    with once("images"):
        _run_builder()
    return {name: f"mlinfn/{name}:{__version__}" for name in NAMES}


def _run_builder(*words: str) -> None:
    build = [sys.executable, str(CHECKOUT / "images/build"), f"--log={CACHE / 'images.log'}", *words]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def base_image(engine: docker.DockerClient) -> str:
    """What ours are made from, for containers that need no more than Python."""
    with once("images"):
        _run_builder("base")
    return f"mlinfn/base:{__version__}"


@pytest.fixture(scope="session")
def traefik_image(images: dict[str, str]) -> str:
    """What lets people in by TLS."""
    with once("images"):
        _run_builder("traefik")
    return f"mlinfn/traefik:{__version__}"


@pytest.fixture(scope="session")
def lab_image(images: dict[str, str]) -> str:
    """Our lab."""
    return images["lab"]


@pytest.fixture(scope="session")
def collab_image(images: dict[str, str]) -> str:
    """The lab of rooms."""
    with once("images"):
        _run_builder("collab")
    return f"mlinfn/collab:{__version__}"


@pytest.fixture(scope="session")
def ml_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """Our lab for machine learning without PyTorch, which is gigabytes."""
    with once("images"):
        _run_builder("--torch=none", "lab-ml")
    return f"mlinfn/lab-ml:{__version__}-no-torch"


@pytest.fixture(scope="session")
def conda_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """Our lab with environments in the home, and something else in the place of micromamba itself."""
    program = _made(engine, "no-micromamba", HERE / "no-micromamba", images["base"])
    folder = CHECKOUT / "images/lab-conda"
    return _made(engine, "lab-conda", folder, images["lab"], f"MICROMAMBA={program}", context=CHECKOUT)


@pytest.fixture(scope="session")
def plain_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """A lab as people make it themselves: `pip install jupyterhub jupyterlab`, pinned, and nothing tuned."""
    return _made(engine, "plain-lab", HERE / "plain-lab", images["base"])


@pytest.fixture(scope="session")
def stacks_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """A lab in the shape of the Jupyter docker-stacks."""
    return _made(engine, "stacks-lab", HERE / "stacks-lab", images["base"])


def _made(engine: docker.DockerClient, name: str, folder: Path, base: str, *arguments: str,
          context: Path | None = None) -> str:  # fmt: skip
    """Tag of the image that a folder's Dockerfile makes; made again when the folder or what it stands on changes."""
    inputs = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    inputs += engine.images.get(base).id.encode() + " ".join(arguments).encode()
    tag = f"mlinfn-test/{name}:{hashlib.sha256(inputs).hexdigest()[:12]}"
    with once(name):
        if not has_image(engine, tag):
            _build(tag, folder, [f"BASE={base}", *arguments], context or folder)
    return tag


def _build(tag: str, folder: Path, arguments: list[str], context: Path) -> None:
    with site_secrets() as secrets:
        command = ["docker", "buildx", "build", "--builder=default", "--load", "--provenance=false", f"--tag={tag}",
                   f"--file={folder / 'Dockerfile'}", *(f"--build-arg={each}" for each in arguments), *secrets,
                   str(context)]  # fmt: skip
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
