"""Reconciling and culling, without a hub or an engine."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn import culling, reconcile
from jupyterhub_mlinfn.settings import Settings


def test_who_nobody_claims_is_named():
    containers = [{"Id": "1", "Names": ["/a"]}, {"Id": "2", "Names": ["/b"]}]
    assert reconcile.unclaimed(containers, frozenset({"a"})) == ("2",)
    assert reconcile.unclaimed(containers, frozenset({"a", "b"})) == ()


SETTINGS = Settings(
    images=[{"slug": "quick", "title": "Q", "image": "q", "idle": "10m"}],
    sizes={"memory": ["2G", "32G"]},
    culling={"idle": "2h", "memory_idle": {"32G": "30m"}, "max_age": "1d"},
)


@pytest.mark.parametrize(
    ("options", "limit"),
    [({"profile": "quick", "memory": "32G"}, 600), ({"profile": "other", "memory": "32G"}, 1800), ({}, 7200)],
    ids=["image", "memory", "all"],
)
def test_idle_time_is_the_images_then_the_sizes_then_everyones(options, limit):
    assert culling.idle_limit_s(SETTINGS, options) == limit


def test_looks_come_often_enough_for_the_shortest_limit():
    assert culling.between_looks_s(SETTINGS) == 300
    assert culling.between_looks_s(Settings(culling={"idle": "20s"})) == 10


def test_instances_cannot_share_names_of_containers():
    with pytest.raises(ValueError, match="-lab"):
        Settings(instance="a-lab")
