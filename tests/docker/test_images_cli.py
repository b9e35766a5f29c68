"""`mlinfn images` against the machine's engine, a real registry and the checkout's own builder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from ruamel.yaml import YAML
from support.places import CHECKOUT

from jupyterhub_mlinfn import __version__

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
MLINFN = Path(sys.executable).with_name("mlinfn")


@pytest.fixture
def mlinfn(tmp_path):
    """Call it with images to offer, then with words: what the command exited with and printed."""

    def make(*images: str):
        listed = [{"slug": f"img{n}", "title": "T", "image": image} for n, image in enumerate(images)]
        YAML().dump({"root": str(tmp_path / "root"), "images": listed}, tmp_path / "mlinfn.yaml")

        def run(*words: str, start=subprocess.run, at: Path = CHECKOUT, **options):
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
            environment = {**os.environ, "MLINFN_CONFIG": str(tmp_path / "mlinfn.yaml"), "NO_COLOR": "1",
                           "PYTHONPATH": str(at)}  # fmt: skip
            return start([MLINFN, "images", *words], env=environment, **options)

        return run

    return make


def here(engine, reference: str) -> bool:
    """Whether the engine holds the image."""
    try:
        engine.images.get(reference)
    except ImageNotFound:
        return False
    return True


def test_an_offered_image_is_listed_pulled_and_listed_again(mlinfn, registry, mini_image, engine):
    far = registry.publish(mini_image, 8)
    run = mlinfn("mlinfn/lab", far)
    lab, missing = json.loads(run("list", "--json").stdout)
    assert (lab["image"], lab["here"], lab["version"]) == (f"mlinfn/lab:{__version__}", True, __version__)
    assert lab["size"] > 1e8
    assert (missing["image"], missing["here"], missing["ours"]) == (far, False, False)
    assert "mlinfn images pull" in run("list").stdout
    registry.slow.bytes_per_s = 4_000_000
    pulled = run("pull")
    assert pulled.returncode == 0, pulled.stderr
    percents = [int(number) for number in re.findall(r"(\d+) %, \d+ of \d+ MB", pulled.stderr)]
    assert len(percents) >= 3
    assert percents == sorted(percents)
    assert json.loads(run("list", "--json").stdout)[1]["here"] is True
    assert "mlinfn images pull" not in run("list").stdout


def test_what_cannot_be_had_is_said_and_the_rest_is_fetched(mlinfn, registry, mini_image, engine):
    far = registry.publish(mini_image, 1)
    nowhere = f"127.0.0.1:{registry.port}/nowhere:1"
    done = mlinfn(nowhere, far)("pull", "--json")
    assert done.returncode == 1
    first, second = json.loads(done.stdout)
    assert "cannot be had" in first["error"]
    assert second == {"image": far, "error": ""}
    assert here(engine, far)


def test_a_pull_that_is_interrupted_leaves_what_was(mlinfn, registry, mini_image, engine):
    far = registry.publish(mini_image, 24)
    registry.slow.bytes_per_s = 2_000_000
    pulling = mlinfn(mini_image, far)("pull", far, start=subprocess.Popen)
    assert re.search(r"\d+ %", pulling.stderr.readline())
    pulling.send_signal(signal.SIGINT)
    said = pulling.communicate(timeout=30)[1]
    assert pulling.returncode not in (0, 2)
    assert "Traceback" not in said
    assert not here(engine, far)
    assert here(engine, mini_image)


@pytest.mark.parametrize(
    "words", ["pull registry.example.org/never/offered", "pull mlinfn/lab", "build lab-nl", "build lab-ml --torch rocm"]
)
def test_what_is_not_offered_or_not_ours_is_a_mistake(mlinfn, words):
    done = mlinfn("mlinfn/lab")(*words.split())
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr


def test_offered_images_of_ours_are_built(mlinfn, images, ml_image):
    done = mlinfn("mlinfn/lab", ml_image, "registry.example.org/x/y:1")("build")
    assert done.returncode == 0, done.stdout
    assert re.search(r"lab: unchanged$", done.stdout, re.MULTILINE)
    assert re.search(r"lab-ml: unchanged$", done.stdout, re.MULTILINE)
    assert "y:1" not in done.stdout


def test_an_image_that_only_a_registry_can_give_is_named_in_one_line(mlinfn, images):
    done = mlinfn("mlinfn/lab", "mlinfn/lab-conda")("build")
    assert "lab: unchanged" in done.stdout
    if done.returncode:  # some machines that run this can reach a registry
        assert done.returncode == 1
        (line,) = [line for line in done.stdout.splitlines() if "lab-conda" in line]
        assert re.search(r"not to be had: no registry gives mambaorg/micromamba:[\d.]+$", line)


@pytest.fixture
def slow_checkout(tmp_path):
    """A checkout whose lab takes long to build, and never comes to an end."""
    for name in ("jupyterhub_mlinfn", "images", "config", "compose"):
        shutil.copytree(CHECKOUT / name, tmp_path / "checkout" / name)
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path / "checkout" / name)
    with (tmp_path / "checkout/images/lab/Dockerfile").open("a") as file:
        file.write("RUN sleep 120; false\n")
    return tmp_path / "checkout"


def test_a_build_that_is_interrupted_leaves_what_was(mlinfn, images, engine, slow_checkout):
    before = engine.images.get(images["lab"]).id
    building = mlinfn("mlinfn/lab")("build", start=subprocess.Popen, start_new_session=True, at=slow_checkout)
    assert any("sleep" in line for line in building.stdout), building.communicate()
    os.killpg(building.pid, signal.SIGINT)
    said, complaint = building.communicate(timeout=30)
    assert (building.returncode, complaint) == (1, "")
    assert said.endswith("Stopped. What was there is as it was.\n")
    assert engine.images.get(images["lab"]).id == before
