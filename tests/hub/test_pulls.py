"""Fetching images: one pull for all who wait, with percent, and nobody else held up. A real, slow registry."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import Failed
from support.wait import until

pytestmark = pytest.mark.docker
MEGABYTES = 24


@pytest.fixture
def far_away(mini_site, mlinfn, registry, mini_image):
    """A site that offers the mini lab, and `far`, the same with 24 MB that only the slow registry has."""

    mlinfn.extra = "c.JupyterHub.authenticate_prometheus = False\n"

    def make(bytes_per_s: int, **settings):
        reference = registry.publish(mini_image, MEGABYTES)
        registry.slow.bytes_per_s = bytes_per_s
        images = [{"slug": "mini", "title": "Mini", "image": mini_image},
                  {"slug": "far", "title": "Far", "image": reference}]  # fmt: skip
        site = mini_site(images=images, profile_list=[], **settings)
        for name in ("anna", "bob", "carla"):
            site.add_user(name)
        return site, reference

    return make


def usual_start_s(site, name: str) -> float:
    """Seconds of one start of the mini lab, stopped again."""
    began = time.monotonic()
    site.api.start(name)
    took = time.monotonic() - began
    site.api.stop(name)
    return took


def test_two_people_share_one_pull_and_see_it_advance(far_away, registry):
    site, reference = far_away(4_000_000)
    for name in ("anna", "bob"):
        assert site.api.ask(name, profile="far").status_code == 202
    with ThreadPoolExecutor(2) as readers:
        annas, bobs = readers.map(site.api.wait_ready, ("anna", "bob"))
    assert registry.pulls(reference) == 1
    assert 'mlinfn_image_pull_seconds_count{outcome="fetched"} 1.0' in site.visitor().get("/hub/metrics").text
    for events in (annas, bobs):
        words = [event.get("message", "") for event in events]
        shown = [re.search(r"(\d+) ?%", word) for word in words]
        percents = [int(found.group(1)) for found in shown if found]
        assert len(set(percents)) >= 4, words
        assert percents == sorted(percents)
        assert any(re.search(r"\d MB", word) for word in words), words
        progress = [event["progress"] for event in events if "progress" in event]
        assert progress == sorted(progress)


def test_others_start_and_stop_as_fast_during_a_pull(far_away):
    site, _ = far_away(1_000_000)
    usual = min(usual_start_s(site, "carla") for _ in range(3))
    assert site.api.ask("anna", profile="far").status_code == 202
    during = min(usual_start_s(site, "carla") for _ in range(3))
    assert site.api.server("anna")["pending"] == "spawn", "the pull was over too early to show anything"
    assert during < 1.5 * usual + 0.5
    site.api.wait_ready("anna")


def test_pull_past_its_limit_ends_with_a_sentence(far_away):
    site, _ = far_away(500_000, starting={"pull_limit": "5s"})
    began = time.monotonic()
    with pytest.raises(Failed) as refused:
        site.api.start("anna", profile="far")
    assert time.monotonic() - began < 30
    assert "5" in str(refused.value)
    assert site.labs() == []


def test_who_cancels_does_not_take_the_pull_from_the_others(far_away, registry):
    site, reference = far_away(4_000_000)
    for name in ("anna", "bob"):
        assert site.api.ask(name, profile="far").status_code == 202
    until(lambda: registry.pulls(reference), 20, "the pull to begin")
    assert site.api.request("DELETE", "/users/anna/server").status_code in (202, 204, 400)
    assert site.api.wait_ready("bob")[-1]["ready"]
    assert registry.pulls(reference) == 1
