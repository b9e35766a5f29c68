"""Restores that are refused, cut off or killed: the member is told why, and nothing half is left."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
import requests
from support.restoring import DATE, Tar, head, large
from support.wait import until

from jupyterhub_mlinfn import restored
from jupyterhub_mlinfn.cli import compose

pytestmark = pytest.mark.docker
MB = 2**20
GOOD = Tar().add("good", b"x").bytes()


def answered(connection: HTTPConnection) -> tuple[int, str]:
    """Status and message, and whoever asked has hung up."""
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert told["status"] == answer.status
    return answer.status, told["message"]


def refused(answer: requests.Response) -> tuple[int, str]:
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["message"]


def test_only_a_person_restores_and_only_with_the_scope(member):
    site, api = member.site, member.site.api
    made = requests.post(f"{api.url}/users/{member.name}/tokens", headers={"Authorization": member.token},
                         json={"scopes": ["read:users!user", "read:servers!user"]}, timeout=10).json()["token"]
    path = "/users/room-cms/tokens"
    room = until(lambda: api.request("POST", path, json={}).json().get("token"), 20, "the room to have an account")
    for token in (f"token {made}", f"token {room}", api.session.headers["Authorization"], "token wrong"):
        status, message = refused(member.restore(GOOD, token=token))
        assert (status, restored.SCOPE in message or "Only a person" in message) == (403, True)
    assert not member.home.exists()
    assert member.container is None
    assert site.hub.is_running


def test_bad_words_are_refused_before_anything_is_made(member):
    for query in ({"date": "../../../x"}, {"into": "/etc"}, {"into": "a\0%s"}, {"bytes": "-1"}):
        status, message = refused(member.restore(GOOD, **query))
        assert (status, message.startswith("This cannot be restored.")) == (400, True)
    assert not member.home.exists()


@pytest.mark.parametrize("body", [
    b"", b"garbage" * 1000, os.urandom(2 * MB), GOOD[:1024], head(10**6) + bytes(10**5)],
    ids=["nothing", "text", "noise", "cut off after a file", "cut off in a file"])  # fmt: skip
def test_what_is_no_whole_tar_is_not_restored(member, body):
    status, message = refused(member.restore(body))
    assert (status, "nothing of it is in your home" in message) == (400, True)
    assert os.listdir(member.home / "restored") == []
    member.assert_nothing_is_left()


def test_a_client_that_asks_first_hears_of_a_refusal_before_it_sends(member):
    for into, answer in (("..", b"HTTP/1.1 400 "), ("home", b"HTTP/1.1 100 ")):
        connection = member.begin(into, Expect="100-continue")
        assert connection.sock.recv(len(answer)) == answer
        connection.close()
    member.assert_nothing_is_left()


def test_a_client_that_goes_leaves_nothing(member):
    connection = member.begun()
    connection.send(Tar().add("whole", b"x" * MB).bytes()[: MB + 2048])
    connection.close()
    member.assert_nothing_is_left()
    assert os.listdir(member.home / "restored") == []


def test_a_silent_client_is_told_and_leaves_nothing(member):
    connection = member.begun()
    connection.send(head(10**6))
    status, message = answered(connection)
    assert (status, "Nothing arrived" in message) == (408, True)
    member.assert_nothing_is_left()


def test_two_at_once_are_one_too_many_and_the_first_goes_on(member):
    connection = member.begun()
    status, message = refused(member.restore(GOOD))
    assert (status, "goes on already" in message) == (409, True)
    connection.send(GOOD + bytes(10**7 - len(GOOD)))
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["files"]) == (200, 1)
    connection.close()
    assert member.restore(GOOD).json()["kept"] == 1
    member.assert_nothing_is_left()


def test_a_killed_container_leaves_half_a_file_to_nobody(member):
    connection = member.begun()
    connection.send(Tar().add("whole", b"x" * MB).bytes()[:MB])
    until(lambda: list((member.home / "restored").glob(".partial-*/whole")), 10, "something to be unpacked")
    member.container.kill()
    until(lambda: member.container is None, 20, "the Engine to remove it")
    connection.send(bytes(MB))
    assert answered(connection)[0] == 503
    (left,) = os.listdir(member.home / "restored")
    assert left.startswith(".partial-")
    assert member.restore(GOOD).json()["files"] == 1
    assert os.listdir(member.home / "restored") == [DATE]
    member.assert_nothing_is_left()


def test_a_full_disk_is_told_of_before_and_on_the_way(member):
    member.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", member.home], check=True)
    try:
        status, message = refused(member.restore(GOOD, bytes=9 * MB))
        assert (status, "9.4 MB are to be restored" in message) == (507, True)
        connection = member.begun(**{"Content-Length": str(10**12)})
        with contextlib.suppress(ConnectionError):
            for piece in large(10**12):
                connection.send(piece)
        status, message = answered(connection)
        assert (status, "is full" in message) == (507, True)
        member.assert_nothing_is_left()
        assert os.listdir(member.home / "restored") == []
        assert member.restore(GOOD, bytes=len(GOOD)).json()["files"] == 1
    finally:
        subprocess.run(["umount", "--lazy", member.home], check=True)


def test_a_hub_that_is_killed_leaves_nothing(member, engine):
    site = member.site
    connection = member.begun()
    connection.send(Tar().add("whole", b"x" * MB).bytes()[: MB + 2048])
    labels = {"it.infn.mlinfn.instance": site.instance, "it.infn.mlinfn.service": restored.NAME}
    command = {"image": "mlinfn/base:0.1.0", "command": ["sleep", "60"], "detach": True, "labels": labels}
    stuck = engine.containers.run(name=f"{site.instance}-restored_stuck", **command)
    other = engine.containers.run(name=f"{site.instance}-of-an-image-made-of-one", **command)
    assert compose.labs(SimpleNamespace(settings=SimpleNamespace(instance=site.instance))) == []
    site.hub.kill()
    connection.close()
    member.assert_nothing_is_left()
    assert os.listdir(member.home / "restored") == []
    site.start_hub()
    until(lambda: stuck.id not in {each.id for each in site.labs()}, 20, "the hub to remove what it does not know")
    assert other.id in {each.id for each in site.labs()}
    assert member.restore(GOOD).json()["files"] == 1
