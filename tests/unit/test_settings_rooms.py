"""Rooms as a keeper writes them: what they come to, and what is said about every mistake."""

import pytest

from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.identity import PLAIN
from jupyterhub_mlinfn.rooms import Room, rooms_of
from jupyterhub_mlinfn.settings import Settings, load

IMAGE = "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n"
CMS = {"name": "cms", "group": "cms"}


def rooms(**settings) -> tuple[Room, ...]:
    return rooms_of(Settings(**settings))


def refused(tmp_path, text: str) -> list[str]:
    """What is wrong with a mlinfn.yaml that begins with this text, each with its line."""
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"{text}\n{IMAGE}")
    with pytest.raises(OperatorError) as error:
        load(path)
    return [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()[1:]]


def test_a_room_with_a_name_and_a_group_has_everything_else_by_default():
    assert rooms(groups=["cms"], rooms=[CMS]) == (Room("cms", "cms", "cms", "mlinfn/collab", "2G", "1"),)


def test_a_room_has_what_its_keeper_wrote():
    image = "registry.example.org/cms/collab:2"
    written = {**CMS, "title": "CMS", "image": image, "memory": "8G", "cpus": 4, "gpus": 1, "idle": "4h"}
    (room,) = rooms(groups=["cms"], rooms=[written])
    assert room == Room("cms", "cms", "CMS", image, "8G", "4", "1", "4h")


def test_an_account_a_folder_and_scopes_follow_from_the_name():
    (room,) = rooms(groups=["cms/ml"], rooms=[{"name": "ml", "group": "cms/ml"}])
    assert (room.account, room.folder) == ("room-ml", "/rooms/ml")
    assert room.scopes == ("access:servers!server=room-ml/", "servers!server=room-ml/")


def test_each_group_that_shares_a_folder_can_have_a_room():
    cms, ml = rooms(groups=["cms", "cms/ml"], rooms="each-group", sizes={"memory": ["4G"], "cpus": [2]})
    assert (cms.name, cms.group, cms.title, cms.memory, cms.cpus) == ("cms", "cms", "cms", "4G", "2")
    assert (ml.group, ml.title) == ("cms/ml", "cms/ml")
    assert ml.name.startswith("cms-ml--")


@pytest.mark.parametrize(
    ("login", "groups"),
    [({"login": "demo"}, ["demo"]), ({"login": "local"}, []), ({"login": "demo", "groups": ["cms"]}, ["cms"]),
     ({"login": "iam", "iam": {"issuer": "https://iam.example.org", "allowed_groups": ["cms"]}}, ["cms"])],
    ids=["demo", "local", "named", "iam"],
)  # fmt: skip
def test_without_named_groups_those_share_that_may_log_in(login, groups):
    assert [room.group for room in rooms(rooms="each-group", **login)] == groups


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rooms:\n  - {name: cms, group: atlas}",
         "2: rooms[0].group: atlas shares no folder: no group does. Name it under `groups`."),
        ("groups: [cms, ml]\nrooms:\n  - name: cms\n    group: atlas",
         "4: rooms[0].group: atlas shares no folder. These do: cms, ml. `groups` names them."),
        ("groups: [cms, ml]\nrooms:\n  - {name: a, group: cms}\n  - {name: a, group: ml}",
         "4: rooms[1].name: a is the name of rooms[0] already."),
        ("groups: [cms]\nrooms:\n  - {name: CMS, group: cms}",
         '3: rooms[0].name: this is "CMS", but it has to be up to 26 small letters, digits and single hyphens that '
         "begin with a letter, such as cms."),
        ("groups: [cms]\nrooms:\n  - {name: a, group: ../cms}",
         '3: rooms[0].group: this is "../cms", but it has to be a group such as ml-infn or ml-infn/keepers; one slash '
         "in front does not matter."),
        ("groups: [cms]\nrooms:\n  - {name: a}", "3: rooms[0].group: is missing. It is a group such as ml-infn or "
         "ml-infn/keepers; one slash in front does not matter."),
        ("groups: [cms]\nrooms:\n  - {name: a, group: cms, gpus: many}",
         '3: rooms[0].gpus: this is "many", but it has to be a number of GPUs such as 1, or of a class such as t4:1.'),
        ("groups: [cms]\nrooms:\n  - {name: a, group: cms, memory: 8}",
         "3: rooms[0].memory: this is 8, but it has to be a size such as 512M or 8G (K, M, G or T, no space), or "
         "empty."),
        ("groups: [cms]\nrooms:\n  - {name: a, group: cms, gpu: 1}",
         "3: rooms[0].gpu: there is no such key. Did you mean `gpus`?"),
        ("rooms: each", '1: rooms: this is "each", but it has to be each-group, or a list of rooms, each with the keys '
         "name, group, title, image, memory, cpus, gpus, idle."),
        ("rooms: {name: cms}", "1: rooms: this is a mapping, but it has to be each-group, or a list of rooms, each "
         "with the keys name, group, title, image, memory, cpus, gpus, idle."),
        ("rooms:", "1: rooms: is empty. Write each-group, or a list of rooms, each with the keys name, group, title, "
         "image, memory, cpus, gpus, idle, or remove the line."),
        ("groups: [cms]\nsubdomains: false\nrooms: each-group",
         "3: rooms: with `subdomains: false` a page in a room can act as whoever opens it, in their own lab too. Take "
         "`subdomains: true`, or write `rooms_without_subdomains: accepted` if everybody in a room trusts everybody."),
        ("rooms_without_subdomains: true",
         "1: rooms_without_subdomains: this is true, but it has to be the word accepted, or nothing."),
    ],
    ids=["no group shares", "another group", "twice", "name", "group", "no group", "gpus", "memory", "key", "word",
         "mapping", "empty", "one origin", "not the word"],
)  # fmt: skip
def test_a_mistake_is_said_with_its_line(tmp_path, text, problem):
    assert refused(tmp_path, text) == [problem]


def test_what_is_wrong_with_several_rooms_is_said_at_once(tmp_path):
    text = "groups: [cms]\nrooms:\n  - {name: A, group: cms}\n  - {name: b, group: ml}\n  - {name: b, group: cms}"
    assert [problem.split(":")[0:2] for problem in refused(tmp_path, text)] == [
        ["3", " rooms[0].name"], ["4", " rooms[1].group"], ["5", " rooms[2].name"]]  # fmt: skip


def test_without_subdomains_a_site_may_accept_rooms_by_a_word():
    accepted = {"subdomains": False, "rooms_without_subdomains": "accepted"}
    assert rooms(groups=["cms"], rooms=[CMS], **accepted) == rooms(groups=["cms"], rooms=[CMS])


def test_names_of_rooms_and_their_accounts_stay_as_they_are_wherever_names_are_escaped():
    longest = "a" + "-b" * 12 + "c"
    (room,) = rooms(groups=["cms"], rooms=[{"name": longest, "group": "cms"}])
    assert PLAIN.fullmatch(room.name)
    assert PLAIN.fullmatch(room.account)
    for wrong in ("a--b", "-a", "a-", "1a", "a" * 27, "", "a.b", "é", "cms\n"):
        with pytest.raises(ValueError, match="rooms"):
            Settings(groups=["cms"], rooms=[{"name": wrong, "group": "cms"}])
