"""The page of rooms as Compose runs it: a member starts a room and goes in, and renewing services ends nothing."""

from __future__ import annotations

import stat

import pytest
from support.rooms_page import Member
from support.stack import Stack
from support.wait import until

from jupyterhub_mlinfn import collab
from jupyterhub_mlinfn.cli import compose
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack_settings(mini_image) -> dict:
    """One room."""
    room = {"name": "cms", "group": "cms", "title": "CMS", "image": mini_image, "memory": "256M"}
    return {"groups": ["cms"], "rooms": [room]}


@pytest.fixture(scope="module")
def anna(stack: Stack) -> Member:
    """A member of cms who has opened the page."""
    password = stack.add_user("anna", groups=("cms",))
    member = Member(stack.port, collab.PAGE.url(Site(stack.config).settings), "anna", password)
    assert member.open().ok
    return member


def test_member_starts_a_room_and_goes_in(stack, anna):
    assert anna.rooms()["cms"]["state"] == "stopped"
    anna.start("cms")
    assert list(anna.events("cms"))[-1].get("ready")
    room = anna.rooms()["cms"]
    assert room["state"] == "running"
    assert anna.browser.session.get(room["url"]).ok


def test_renewed_services_log_nobody_out_and_end_no_room(stack, anna):
    stack.up("--force-recreate", "collab", "hub")
    until(lambda: anna.ask().ok, 30, "the page to have the hub's answer again")
    assert anna.rooms()["cms"]["state"] == "running"
    anna.stop("cms")


def test_service_has_its_secret_and_nothing_else(stack, anna):
    secrets = stack.root / "secrets"
    for path, uid in ((secrets / "collab/collab_token", collab.PAGE.uid), (secrets / "hub/collab_token", 0)):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o600, uid)
    mounts = {mount["Destination"] for mount in stack.service("collab").attrs["Mounts"]}
    assert mounts == {"/run/secrets"}
    token = (secrets / "hub/collab_token").read_text().strip()
    assert token not in str(stack.service("collab").attrs) + stack.service("collab").logs().decode()
    assert ("127.0.0.1", 7) in stack.listening()


def test_service_goes_with_the_last_room(stack, anna):
    assert compose.optional(Site(stack.config)) == ("collab",)
    stack.settings["rooms"] = []
    stack.write_settings()
    stack.prepare()
    compose.up(Site(stack.config), quiet=True)
    assert "collab" not in compose.services(Site(stack.config))
