"""The image of a lab that starts at once and misbehaves on request."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from support.machine_image import has_image, once
from support.places import test_name
from support.site import Site, closing_site

FOLDER = Path(__file__).parent / "mini-lab"


@pytest.fixture(scope="session")
def mini_image(engine: docker.DockerClient, images: dict[str, str]) -> str:
    """Tag of the mini lab; it obeys MINI_LAB in its environment (dies, hungry, silent, stubborn, nosy)."""
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


def offer(image: str) -> dict:
    """Settings of a site that offers the mini lab, well (the default) and misbehaving; `typers` may type an image."""
    modes = ("dies", "hungry", "silent", "stubborn", "nosy")
    return {"images": [{"slug": "mini", "title": "Mini", "image": image}],
            "profile_list": [_profile(mode, image) for mode in modes],
            "unlisted_images": {"groups": ["typers"], "pattern": ".+"}}  # fmt: skip


def _profile(mode: str, image: str) -> dict:
    override = {"image": image, "environment": {"MINI_LAB": mode}, "mem_limit": "64M"}
    return {"slug": mode, "display_name": mode.capitalize(), "kubespawner_override": override}


@pytest.fixture
def mini_site(mlinfn: Site, mini_image: str) -> Callable[..., Site]:
    """Call it, with settings if they matter, for a running instance that offers mini labs."""

    def make(**settings) -> Site:
        return mlinfn.start(**{**offer(mini_image), **settings})

    return make


@pytest.fixture(scope="module")
def town(mini_image: str, tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str],
         engine: docker.DockerClient, request: pytest.FixtureRequest) -> Iterator[Site]:  # fmt: skip
    """One running instance that offers mini labs, for all tests of a module; each takes people of its own."""
    site = Site(tmp_path_factory.mktemp("town"), test_name(), proxy_command, engine)
    with closing_site(site, request):
        yield site.start(**offer(mini_image))
