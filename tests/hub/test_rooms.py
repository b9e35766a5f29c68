"""Rooms at a real hub: who may start them, what their labs are, and what becomes of them. Their labs are mini labs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from bs4 import BeautifulSoup
from support.client import API, Failed
from support.mini_lab import offer
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

from jupyterhub_mlinfn import claims

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ROOM = "room-cms"
PEOPLE = {"anna": ("cms",), "boris": ("cms", "keepers"), "carla": ("ml",)}


def settings(image: str, **room) -> dict:
    """Settings of a site with a room of cms, which may have a GPU, and one of ml."""
    cms = {"name": "cms", "group": "cms", "title": "CMS", "image": image, "memory": "256M", "cpus": 2, "gpus": 1}
    rooms = [{**cms, **room}, {"name": "deep", "group": "ml", "image": image}]
    return {**offer(image), "groups": ["cms", "ml"], "rooms": rooms, "root_groups": ["cms"]}


@pytest.fixture(scope="module")
def campus(mini_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """A site with these rooms and two made-up GPUs, of which cms may hold one."""
    site = Site(tmp_path_factory.mktemp("campus"), test_name(), proxy_command, engine)
    data = tmp_path_factory.mktemp("data")
    with closing_site(site, request):
        site.extra = ("c.JupyterHub.authenticate_prometheus = False\n"
                      "from jupyterhub_mlinfn.census import Census\nCensus.every_s = 1\n")
        site.start(**settings(mini_image),
                   gpus={"source": "simulated", "groups": {"cms": {"total": 1}}, "wait": "2s"},
                   storage={"extra": [{"source": str(data), "target": "/data", "groups": ["cms"]}]})  # fmt: skip
        yield site


@pytest.fixture(scope="module")
def people(campus) -> dict[str, API]:
    """What each of them may do."""
    return {name: campus.logged_in(name, groups=groups).api() for name, groups in PEOPLE.items()}


@pytest.fixture
def anna(campus, people) -> Iterator[API]:
    """What anna may do; no room is left running."""
    yield people["anna"]
    if campus.api.server(ROOM):
        campus.api.stop(ROOM)


def start(api: API, **options) -> None:
    """The room runs, started by who has this API. Raises Failed."""
    answer = api.ask(ROOM, **options)
    if answer.status_code not in (201, 202):
        raise Failed(answer.text)
    api.wait_ready(ROOM)


def told(api: API) -> dict[str, dict]:
    """The rooms that the hub tells of, by name."""
    answer = api.request("GET", "/mlinfn/rooms")
    assert answer.ok, answer.text
    return {room["name"]: room for room in answer.json()["rooms"]}


def test_a_room_is_a_lab_of_its_group_and_of_nobody(campus, anna):
    start(anna)
    lab = campus.lab_of(ROOM)
    environment = dict(line.split("=", 1) for line in lab.attrs["Config"]["Env"])
    assert (lab.labels["it.infn.mlinfn.room"], lab.labels["it.infn.mlinfn.profile"]) == ("cms", "room")
    assert (environment["MLINFN_ROOM"], environment["JUPYTERHUB_DISABLE_USER_CONFIG"]) == ("cms", "1")
    assert environment["HOME"] == lab.attrs["Config"]["WorkingDir"] == "/rooms/cms"
    assert "BEARER_TOKEN_FILE" not in environment
    seen = {mount["Destination"]: mount["RW"] for mount in lab.attrs["Mounts"]}
    assert seen == {"/rooms/cms": True, "/groups/cms": True, "/shared": False, "/data": False}
    host = lab.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"] or host["CpuQuota"]) == (256 * 2**20, 200_000)
    assert (host["CapAdd"], "no-new-privileges" in host["SecurityOpt"]) == (None, True), "cms may be root elsewhere"
    folder = (campus.root / "rooms/cms").stat()
    assert (folder.st_mode & 0o7777, f"{folder.st_uid}:{folder.st_uid}") == (0o700, lab.attrs["Config"]["User"])
    assert (campus.root / "rooms/cms/groups").readlink().as_posix() == "/groups"
    assert not (campus.root / "users" / ROOM).exists()


def test_only_members_of_the_group_start_and_stop_it(campus, anna, people):
    carla = people["carla"]
    assert carla.ask(ROOM).status_code in (403, 404)
    start(anna)
    for answer in (carla.request("DELETE", f"/users/{ROOM}/server"), carla.ask(ROOM),
                   carla.request("GET", f"/users/{ROOM}/server/progress"), carla.request("GET", f"/users/{ROOM}")):
        assert answer.status_code in (403, 404), answer.text
    assert campus.api.server(ROOM)["ready"]
    assert people["boris"].request("DELETE", f"/users/{ROOM}/server").status_code in (202, 204)
    until(lambda: campus.api.server(ROOM) is None, 30, "the room to stop")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"gpus": "2"}, "Choose one of: 0, 1"), ({"profile": "mini"}, "Choose one of: room"),
     ({"memory": "8G"}, "Choose one of: 256M"), ({"cpus": 4}, "Choose one of: 2"),
     ({"image--unlisted-choice": "debian"}, "has no option image--unlisted-choice"), ({"gpus": "simulated:1"}, "0, 1")],
    ids=["GPUs", "profile", "memory", "CPUs", "image", "a class"],
)  # fmt: skip
def test_nothing_else_than_what_the_keeper_wrote_is_started(campus, anna, options, words):
    answer = anna.ask(ROOM, **options)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert campus.lab_of(ROOM) is None


def test_the_form_of_a_room_shows_what_it_can_be_started_with_and_no_more(campus):
    visitor = campus.logged_in("dora", groups=("cms",))
    page = BeautifulSoup(visitor.get(f"/hub/spawn/{ROOM}").text, "html.parser")
    offered = {(field["name"], field["value"]) for field in page.select("form input[type=radio]")}
    assert offered == {("profile", "room"), ("profile-option-room--gpus", "0"), ("profile-option-room--gpus", "1"),
                       ("profile-option-room--memory", "256M"), ("profile-option-room--cpus", "2")}  # fmt: skip


def test_a_rooms_gpu_counts_for_its_group(campus, anna, people):
    start(anna, gpus="1")
    assert told(anna)["cms"]["gpus"] == {"offered": "1", "held": 1}
    with pytest.raises(Failed, match="No GPU became free within 2s"):
        people["boris"].start("boris", gpus="1")
    people["carla"].start("carla", gpus="1")  # it was the limit of cms, and not the last GPU
    until(lambda: gpu_seconds(campus) > 0, 40, "the time of the GPU to be counted")
    campus.api.stop(ROOM)
    people["boris"].start("boris", gpus="1")
    with pytest.raises(Failed, match="No GPU became free within 2s"):
        start(anna, gpus="1")
    for name in ("boris", "carla"):
        campus.api.stop(name)


def gpu_seconds(site: Site) -> float:
    """How long the room has held GPUs, as charged to its group."""
    page = site.visitor().get("/hub/metrics").text
    lines = [line for line in page.splitlines() if line.startswith("mlinfn_gpu_seconds_total") and f'"{ROOM}"' in line]
    return sum(float(line.split()[-1]) for line in lines if 'group="cms"' in line)


def test_people_are_told_of_the_rooms_that_they_may_enter_and_of_no_others(campus, anna, people, mini_image):
    room = told(anna)["cms"]
    assert set(told(anna)) == {"cms"}
    assert set(told(people["carla"])) == {"deep"}
    assert set(told(campus.api)) == {"cms", "deep"}, "the test's own token opens all labs"
    assert campus.visitor().get("/hub/api/mlinfn/rooms").status_code == 403
    assert room == {
        "name": "cms", "title": "CMS", "group": "cms", "state": "stopped",
        "url": f"http://room-cms.localhost:{campus.port}/user/room-cms/", "memory": 256 * 2**20, "cpus": 2.0,
        "image": mini_image, "gpus": {"offered": "1", "held": 0}, "since": None, "inside": [],
    }  # fmt: skip
    start(anna)
    running = told(anna)["cms"]
    assert running["state"] == "running"
    assert running["since"].endswith("Z")


def test_who_is_inside_is_what_the_room_says_of_people_of_its_group(campus, anna):
    start(anna)
    said = ["boris", "carla", "room-cms", "nobody", 5, {}, "boris", "x" * 10_000]
    (campus.root / "rooms/cms/inside").write_text(json.dumps({"inside": said}))
    until(lambda: told(anna)["cms"]["inside"], 10, "the room to be looked into")
    person = {"name": "boris", "display_name": "boris", "initials": "B", "color": claims.color("boris")}
    assert told(anna)["cms"]["inside"] == [person]
    counted = ('mlinfn_room_inside{room="cms"} 1.0', 'mlinfn_rooms{state="running"} 1.0',
               'jupyterhub_user_group_info{group="cms",user="boris"} 1.0')  # fmt: skip
    page = campus.visitor()
    until(lambda: set(counted) <= set(page.get("/hub/metrics").text.split("\n")), 10, "both to be counted")


def test_a_room_outlives_the_hub_and_is_known_again(campus, anna):
    start(anna)
    (campus.root / "rooms/cms/inside").write_text('{"inside": ["boris"]}')
    lab = campus.lab_of(ROOM).id
    campus.hub.kill()
    campus.start_hub()
    until(lambda: told(anna)["cms"]["state"] == "running", 60, "the room to be known")
    assert campus.lab_of(ROOM).id == lab
    assert [person["name"] for person in told(anna)["cms"]["inside"]] == ["boris"]
    anna.request("DELETE", f"/users/{ROOM}/server")
    until(lambda: campus.lab_of(ROOM) is None, 30, "the room to stop")
