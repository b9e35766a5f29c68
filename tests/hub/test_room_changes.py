"""What becomes of rooms that run when the settings change, and of those in which nobody does anything."""

from __future__ import annotations

import pytest
from support.mini_lab import offer
from support.site import Site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
CMS, DEEP = {"name": "cms", "group": "cms"}, {"name": "deep", "group": "ml"}


@pytest.fixture
def club(mlinfn, mini_image):
    """Call it, with rooms, for a running site of cms and ml that has these."""

    def make(*rooms: dict, **settings) -> Site:
        listed = [{"image": mini_image, **room} for room in rooms]
        site = mlinfn.start(**offer(mini_image), groups=["cms", "ml"], rooms=listed, **settings)
        until(lambda: {f"room-{room['name']}" for room in rooms} <= names(site), 10, "the accounts")
        return site

    return make


def with_rooms(site: Site, image: str, *rooms: dict) -> None:
    """The hub is started again with these rooms; their labs go on meanwhile."""
    site.hub.stop()
    site.write_settings(rooms=[{"image": image, **room} for room in rooms])
    site.start_hub()


def names(site: Site) -> set[str]:
    """Everybody whom the hub knows."""
    return {user["name"] for user in site.api.request("GET", "/users").json()}


def test_the_account_of_a_room_that_is_gone_goes_with_its_lab_and_its_files_stay(club, mini_image):
    site = club(CMS, DEEP)
    anna = site.logged_in("anna", groups=("cms",)).api()
    site.api.add_user("ml")
    for room in ("room-cms", "room-deep"):
        site.api.start(room)
    (site.root / "rooms/cms/notebook").write_text("hers and his")
    with_rooms(site, mini_image, DEEP)
    until(lambda: "room-cms" not in names(site), 60, "the account to go")
    assert site.lab_of("room-cms") is None
    assert {"anna", "ml", "room-deep"} <= names(site)
    assert site.api.server("room-deep")["ready"]
    assert anna.ask("room-cms").status_code in (403, 404)
    with_rooms(site, mini_image, CMS)
    until(lambda: names(site) & {"room-cms", "room-deep"} == {"room-cms"}, 60, "the rooms to be those of the settings")
    assert anna.ask("room-cms").status_code in (201, 202)
    anna.wait_ready("room-cms")
    lab = site.lab_of("room-cms")
    assert lab.exec_run(["cat", "/rooms/cms/notebook"]).output == b"hers and his"
    assert lab.attrs["Config"]["User"] == "{0.st_uid}:{0.st_gid}".format((site.root / "rooms/cms").stat())


def test_a_room_that_moves_to_another_group_is_stopped_and_is_that_groups_from_then_on(club, mini_image):
    site = club(CMS)
    anna, carla = (site.logged_in(name, groups=(group,)).api() for name, group in (("anna", "cms"), ("carla", "ml")))
    assert anna.ask("room-cms").status_code in (201, 202)
    anna.wait_ready("room-cms")
    with_rooms(site, mini_image, {**CMS, "group": "ml"})
    until(lambda: site.lab_of("room-cms") is None, 60, "the lab with the folder of cms to be stopped")
    until(lambda: site.api.user("room-cms")["groups"] == ["ml"], 10, "the room to be of ml")
    assert anna.ask("room-cms").status_code in (403, 404)
    assert carla.ask("room-cms").status_code in (201, 202)
    carla.wait_ready("room-cms")
    assert "/groups/ml" in {mount["Destination"] for mount in site.lab_of("room-cms").attrs["Mounts"]}


def test_a_room_without_activity_is_stopped_after_its_own_time(club):
    site = club({**CMS, "idle": "10s"}, DEEP)
    for room in ("room-cms", "room-deep"):
        site.api.start(room)
    until(lambda: site.api.server("room-cms") is None, 90, "the idle room to be stopped", every_s=0.5)
    assert site.api.server("room-deep")["ready"]


def test_each_group_has_a_room_and_a_hub_with_a_room_named_like_a_person_does_not_start(club):
    site = club(CMS)
    site.hub.stop()
    site.write_settings(rooms="each-group")
    site.start_hub()
    until(lambda: {"room-cms", "room-ml"} <= names(site), 10, "the accounts")
    site.add_user("ml")
    site.hub.stop()
    with pytest.raises(AssertionError, match="rooms: ml is the user name of a person here"):
        site.start_hub()
