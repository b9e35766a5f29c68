"""Reconciling and culling, without a hub or an engine."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jupyterhub_mlinfn import culling, reconcile
from jupyterhub_mlinfn.settings import Settings, bytes_of


def test_who_nobody_claims_is_named():
    containers = [{"Id": "1", "Names": ["/a"]}, {"Id": "2", "Names": ["/b"]}]
    assert reconcile.unclaimed(containers, frozenset({"a"})) == ("2",)
    assert reconcile.unclaimed(containers, frozenset({"a", "b"})) == ()


SETTINGS = Settings(
    groups=["cms"],
    rooms=[{"name": "cms", "group": "cms", "idle": "20m"}, {"name": "ml", "group": "cms"}],
    images=[{"slug": "quick", "title": "Q", "image": "q", "idle": "10m"}],
    sizes={"memory": ["2G", "32G"]},
    culling={"idle": "2h", "memory_idle": {"32G": "30m"}, "max_age": "1d"},
)


@pytest.mark.parametrize(
    ("lab", "limit"),
    [({"profile": "quick", "memory": "32G"}, 600), ({"profile": "other", "memory": "32G"}, 1800),
     ({"profile": "other", "memory": "2G"}, 7200), ({"profile": "other", "memory": "2G", "gpus": True}, 3600),
     ({"profile": "quick", "memory": "2G", "gpus": True}, 600),
     ({"profile": "room", "room": "cms", "memory": "32G"}, 1200),
     ({"profile": "room", "room": "ml", "memory": "32G", "gpus": True}, 1800),
     ({"profile": "room", "room": "gone", "memory": "2G"}, 7200)],
    ids=["image", "memory", "all", "a GPU", "an image with a GPU", "a room", "a room without", "a room that is gone"],
)  # fmt: skip
def test_idle_time_is_the_rooms_or_images_then_the_sizes_then_everyones(lab, limit):
    told = {"gpus": False, "room": "", **lab, "memory": bytes_of(lab["memory"])}
    assert culling.idle_limit_s(SETTINGS, told) == limit


LAB = {"profile": "other", "memory": 0, "gpus": False, "room": "", "kernels": "idle"}


@pytest.mark.parametrize(
    ("idle_s", "lab", "culled"),
    [(7300, LAB, True), (7100, LAB, False), (7300, {**LAB, "kernels": "busy"}, False),
     (7300, {**LAB, "kernels": "unknown"}, False), (7300, None, False), (700, {**LAB, "profile": "quick"}, True)],
    ids=["idle", "not for long enough", "busy", "silent", "the hub does not know", "an image of its own"],
)  # fmt: skip
async def test_only_a_lab_that_is_known_to_be_idle_is_stopped(idle_s, lab, culled):
    async def ask(full_name):
        assert full_name == "anna/"
        return lab

    may_stop = culling.arbiter(SETTINGS, ask)
    assert await may_stop(timedelta(seconds=idle_s), 0, {"full_name": "anna/"}) is culled


async def test_a_lab_in_use_is_not_asked():
    may_stop = culling.arbiter(SETTINGS, None)
    assert await may_stop(timedelta(seconds=500), 0, {"full_name": "anna/"}) is False
    assert await may_stop(None, 0, {"full_name": "anna/"}) is False


def test_looks_come_often_enough_for_the_shortest_limit():
    assert culling.between_looks_s(SETTINGS) == 300
    assert culling.between_looks_s(Settings(culling={"idle": "20s"})) == 10
    quick = {"name": "cms", "group": "cms", "idle": "30s"}
    assert culling.between_looks_s(Settings(groups=["cms"], rooms=[quick])) == 15


def test_instances_cannot_share_names_of_containers():
    with pytest.raises(ValueError, match="-lab"):
        Settings(instance="a-lab")
