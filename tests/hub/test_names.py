"""User names that somebody will have: each works in every place without meeting another, or is refused at login."""

from __future__ import annotations

import os

import pytest

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.errors import UserError

pytestmark = pytest.mark.docker

WORKING = {
    "plain": "anna",
    "a space": "anna rossi",
    "hyphens for the space": "anna-rossi",
    "an underscore": "anna_rossi",
    "dots": "anna.rossi",
    "a leading dot": "..x",
    "an address": "anna@infn.it",
    "a percent sign": "anna%20rossi",
    "emoji": "🐙",
    "an accent": "müller",
    "root": "root",
    "the hub's word": "hub",
    "digits": "1000",
    "200 characters": "x" * 200,
    "199 characters": "x" * 199,
    "what another escapes to": "u--" + "0" * 24,
    "hyphens only": "---",
    "a backslash": "infn\\anna",
}
REFUSED = {"a path": "../x", "a slash": "a/b", "dots only": "..", "nothing": "  ", "201 characters": "x" * 201,
           "a line end": "anna\nroot"}  # fmt: skip


@pytest.fixture(scope="module")
def inhabitants(town):
    """A lab for every working name, started one after the other and left running: name -> container."""
    for name in WORKING.values():
        town.add_user(name)
        town.api.start(name)
    return {c.labels["it.infn.mlinfn.user"]: c for c in town.labs() if c.labels.get("it.infn.mlinfn.user")}


@pytest.mark.parametrize("name", WORKING.values(), ids=WORKING)
def test_name_has_a_lab_at_its_own_address(town, inhabitants, name):
    container = inhabitants[name]
    lab = town.api.lab(name)
    answer = lab.request("GET", "")
    assert answer.status_code == 200, answer.text
    assert "environment" in answer.json(), "somebody else answered"
    assert len(lab.host.split(".")[0]) <= 63
    assert lab.request("GET", "").json()["uid"] == int(container.attrs["Config"]["User"].split(":")[0])


def test_no_two_share_anything(town, inhabitants):
    assert len(inhabitants) == len(WORKING)
    for what in (lambda c: c.name, lambda c: c.attrs["Config"]["User"], lambda c: _home(c)["Source"],
                 lambda c: _home(c)["Target"]):  # fmt: skip
        assert len({what(container) for container in inhabitants.values()}) == len(WORKING)
    assert len({town.api.lab(name).host for name in WORKING.values()}) == len(WORKING)


def test_homes_belong_to_their_owners(town, inhabitants):
    users = town.root / "users"
    for container in inhabitants.values():
        home = _home(container)["Source"]
        assert os.path.dirname(home) == str(users), "a home outside users/"
        status = os.stat(home)
        assert status.st_uid == int(container.attrs["Config"]["User"].split(":")[0])
        assert status.st_mode & 0o777 == 0o700
    assert len(list(users.iterdir())) == len(WORKING)


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_name_is_refused(town, name):
    with pytest.raises(UserError):
        town.add_user(name)
    page = town.visitor().log_in(name, "some password of theirs")
    assert page.status_code in (401, 403)


@pytest.mark.parametrize("name", ["anna rossi", "🐙", "root", "x" * 200], ids=["space", "emoji", "root", "200"])
def test_name_logs_in_and_reaches_the_lab_by_link(town, inhabitants, name):
    path = town.root / "hub/passwords.json"
    new = passwords.hashed("a password for this test")
    passwords.change(path, lambda people: passwords.with_hash(people, name, new))
    visitor = town.visitor()
    assert visitor.log_in(name, "a password for this test").ok
    assert "environment" in visitor.get("/hub/user-redirect/").json()
    home = visitor.get("/hub/home")
    assert home.ok
    assert "/hub/login" not in home.url


def _home(container) -> dict:
    (mount,) = [m for m in container.attrs["HostConfig"]["Mounts"] if m["Target"].startswith("/home/")]
    return mount
