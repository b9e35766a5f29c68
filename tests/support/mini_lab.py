"""The image of a lab that starts at once and misbehaves on request."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from support.machine_image import has_image, once
from support.site import Site

FOLDER = Path(__file__).parent / "mini-lab"


@pytest.fixture(scope="session")
def mini_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """Tag of the mini lab; it obeys MINI_LAB in its environment (dies, hungry, silent, stubborn)."""
    inputs = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
    base = engine.images.get(images["base"]).id
    tag = f"mlinfn-test/mini-lab:{hashlib.sha256(inputs + base.encode()).hexdigest()[:12]}"
    with once("mini-lab"):
        if not has_image(engine, tag):
            command = ["docker", "buildx", "build", "--builder=default", "--load", "--provenance=false",
                       f"--tag={tag}", f"--build-arg=BASE={images['base']}", str(FOLDER)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-4000:]
    return tag


@pytest.fixture
def mini_site(mlinfn: Site, mini_image: str) -> Callable[..., Site]:
    """Call it, with settings if they matter, for a running instance that offers well and misbehaving mini labs."""

    def make(**settings) -> Site:
        images = [{"slug": "mini", "title": "Mini", "image": mini_image}]
        profiles = [_profile(mode, mini_image) for mode in ("dies", "hungry", "silent", "stubborn")]
        return mlinfn.start(**{"images": images, "profile_list": profiles, **settings})

    return make


def _profile(mode: str, image: str) -> dict:
    override = {"image": image, "environment": {"MINI_LAB": mode}, "mem_limit": "64M"}
    return {"slug": mode, "display_name": mode.capitalize(), "kubespawner_override": override}
