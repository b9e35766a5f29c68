"""Starts that fail: their owner reads why, within seconds, and nothing is left behind."""

from __future__ import annotations

import subprocess
import time

import pytest
from support.client import Failed
from support.wait import until

pytestmark = pytest.mark.docker


def failure(site, name: str, timeout_s: float = 60, **options) -> str:
    """What the owner of a start that fails is told. The container is gone when this returns."""
    if name not in site.people:
        site.add_user(name)
    with pytest.raises(Failed) as refused:
        site.api.start(name, timeout_s, **options)
    until(lambda: site.lab_of(name) is None, 20, f"{name}'s container to go")
    assert site.api.server(name) is None
    return str(refused.value)


def test_lab_that_dies_shows_exit_code_and_last_lines(town):
    told = failure(town, "anna", profile="dies")
    assert "7" in told
    assert "no more luck today" in told
    assert "first line of the end" in told


def test_next_start_after_a_failure_works(town):
    failure(town, "bob", profile="dies")
    town.api.start("bob", profile="mini")
    town.api.stop("bob")


def test_lab_that_takes_too_much_memory_is_told_so(town):
    told = failure(town, "carla", profile="hungry")
    assert "memory" in told.lower()


def test_lab_that_never_answers_is_given_up(mini_site):
    site = mini_site(starting={"ready_limit": "5s"})
    told = failure(site, "dora", profile="silent")
    assert "5" in told


@pytest.fixture
def broken_images(engine, images, tmp_path):
    """An image without jupyterhub-singleuser, and one whose program is for another machine."""
    (tmp_path / "alien").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(100))
    (tmp_path / "Dockerfile").write_text(
        f"FROM {images['base']}\nCOPY --chmod=0755 alien /usr/bin/jupyterhub-singleuser\n"
        'ENTRYPOINT []\nCMD ["jupyterhub-singleuser"]\n'
    )
    command = ["docker", "buildx", "build", "-q", "--load", "--provenance=false", "-t", "mlinfn-test/alien", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    return [{"slug": "without", "title": "Without", "image": images["base"]},
            {"slug": "alien", "title": "Alien", "image": "mlinfn-test/alien"}]  # fmt: skip


def test_image_that_cannot_be_a_lab_is_named_with_a_hint(mini_site, broken_images):
    site = mini_site(images=broken_images, profile_list=[])
    without = failure(site, "emil", profile="without")
    assert "jupyterhub-singleuser" in without
    assert site.labs() == [], "a container that could not be started would hold its GPU"
    alien = failure(site, "emil", profile="alien")
    assert "architecture" in alien or "another kind of processor" in alien
    assert site.labs() == []


@pytest.fixture(scope="module")
def typing_town(town):
    """The town, and frida in it, who may type image references."""
    town.add_user("frida", groups=("typers",))
    return town


@pytest.mark.parametrize("where", ["a registry without it", "no registry at all"])
def test_image_that_is_not_there_is_refused_within_seconds(typing_town, registry, where):
    port = registry.port if where == "a registry without it" else 9
    image = f"127.0.0.1:{port}/nobody/has-this:1"
    began = time.monotonic()
    told = failure(typing_town, "frida", profile="unlisted", **{"image--unlisted-choice": image})
    assert time.monotonic() - began < 30
    assert image in told


def test_image_of_ours_that_is_not_there_is_asked_for_nowhere(typing_town):
    image = "mlinfn/nobody-made-this:1"
    told = failure(typing_town, "frida", profile="unlisted", **{"image--unlisted-choice": image})
    assert "made on this machine" in told


@pytest.mark.parametrize("image", ["UPPER//case:::", "-v /:/host alpine", "a b", "x" * 600])
def test_text_that_is_no_image_reference_is_refused_at_once(typing_town, image):
    answer = typing_town.api.ask("frida", profile="unlisted", **{"image--unlisted-choice": image})
    assert answer.status_code == 400
    assert typing_town.lab_of("frida") is None


def test_guard_that_is_not_well_means_no_new_lab(mini_site):
    site = mini_site()
    site.guard.is_well = False
    told = failure(site, "gina")
    assert "keeper" in told.lower() or "firewall" in told.lower() or "network" in told.lower()
    site.guard.is_well = True
    site.api.start("gina")
