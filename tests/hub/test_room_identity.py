"""A room where people come from an identity service: it is nobody there, and people in it are who the service says."""

from __future__ import annotations

import pytest
from support.client import API
from support.institute import REFRESH_S, Institute
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-demo"


@pytest.fixture
def institute(found, mini_image) -> Institute:
    """An institute whose group `demo` has a room."""
    there = found()
    there.site.hub.stop()
    there.site.write_settings(rooms=[{"name": "demo", "group": "demo", "image": mini_image}])
    there.site.start_hub()
    return there


def told(api: API) -> dict:
    """What the hub tells of the room."""
    return api.request("GET", "/mlinfn/rooms").json()["rooms"][0]


def test_a_room_has_no_token_outlives_who_started_it_and_shows_people_as_the_service_does(institute):
    site = institute.site
    member, keeper = (institute.log_in(name).api() for name in ("demo-member", "demo-keeper"))
    assert member.ask(ROOM).status_code in (201, 202)
    member.wait_ready(ROOM)
    lab = site.lab_of(ROOM)
    assert {mount["Destination"] for mount in lab.attrs["Mounts"]} == {"/rooms/demo", "/groups/demo", "/shared"}
    assert not [line for line in lab.attrs["Config"]["Env"] if line.startswith("BEARER_TOKEN")]
    assert not institute.folder(ROOM).exists()
    (site.root / "rooms/demo/inside").write_text('{"inside": ["demo-member"]}')
    (person,) = until(lambda: told(keeper)["inside"], 10, "the member to be inside")
    assert (person["display_name"], person["initials"]) == ("Demo Member", "DM")

    institute.service.set_groups("demo-member", [])
    until(lambda: member.ask(ROOM).status_code == 403, 10 * REFRESH_S, "the member to be out")
    assert member.request("GET", "/mlinfn/rooms").status_code == 403
    assert site.lab_of(ROOM).id == lab.id, "the room is the group's"
    assert keeper.request("DELETE", f"/users/{ROOM}/server").status_code in (202, 204)
    until(lambda: site.lab_of(ROOM) is None, 30, "the room to stop")
    assert ROOM not in institute.state().get("unknown", [])
