"""Two targets, members with files of all kinds, a small hub, and the service that members ask."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from jupyterhub_mlinfn.backup import state as states
from jupyterhub_mlinfn.backup.members import door
from jupyterhub_mlinfn.backup.members.answers import Answers
from jupyterhub_mlinfn.backup.place import Place
from jupyterhub_mlinfn.backup.target import Run
from jupyterhub_mlinfn.identity import Identities
from support import restored_hub
from support.backup_site import BackupSite
from support.backups import BORIS, GROUP, ZOE
from support.places import free_ports
from support.restored_hub import RestoredHub
from support.wait import until

OTHERS = 91002
"""A group that zoe is not in."""
HUGE = 200 << 20


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An ACL as the kernel keeps it, of kinds, ids and rights."""
    return b"\2\0\0\0" + b"".join(struct.pack("<HHI", kind, allowed, id_) for kind, id_, allowed in entries)


class MembersSite(BackupSite):
    """What the service has, with a second target and the book of uids."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.second = str(folder / "second")
        (folder / "mlinfn.yaml").write_text(
            "images: [{slug: lab, title: Lab, image: mlinfn/lab}]\n"
            "groups: [cms, theory]\nrooms: [{name: cms, group: cms}]\n"
            f"backup: {{targets: ['{self.url}', '{self.second}']}}\n")  # fmt: skip
        self.place = Place.from_environment(self.environment)
        book = Identities(folder / "data/service/hub/identity.sqlite", range(ZOE, 79000), range(GROUP, 99000))
        book.person("zoe", ["cms", "theory"])
        book.person("boris")
        book.person("room-cms")
        _fill(folder / "data")
        for url in (self.url, self.second):
            Path(url).mkdir(exist_ok=True)
            run = Run(self.place, self.place.restic(url), lambda told: None)
            run.known("")
            for kind in ("homes", "groups", "shared", "rooms"):
                run.snapshot(kind)


    def of_hub(self, hub: RestoredHub, **changes: Any) -> Place:
        """What the service is told."""
        return dataclasses.replace(self.place, hub=hub.api, **changes)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Copies of the first target are removed, for as long as the block."""
        with states.removing(self.place.state, self.url):
            yield


def _fill(data: Path) -> None:
    group, zoe = data / "groups/cms", data / "homes/zoe"
    (data / "homes/dora/many/z-folder").mkdir(parents=True)
    for number in range(2100):
        (data / f"homes/dora/many/{number:04}").write_text(str(number))
    (zoe / "analysis/plots").mkdir(parents=True)
    (zoe / "analysis/notebook.ipynb").write_text("{}")
    (zoe / "analysis/plots/one.png").write_bytes(b"\x89PNG" * 1000)
    with (zoe / "huge").open("wb") as file:
        file.truncate(HUGE)
    os.symlink("analysis", zoe / "way")
    (data / "shared/zoe").mkdir(parents=True)
    (data / "shared/zoe/talk.pdf").write_text("a talk")
    (data / "shared/erik").mkdir()
    (data / "shared/erik/fit.txt").write_text("a fit")
    os.setxattr(data / "shared/erik/fit.txt", "user.a=b", b"c")
    _made(group / "private.txt", "of boris alone", 0o600)
    _made(group / "for-zoe.txt", "for zoe", 0o600, acl((1, 2**32 - 1, 6), (2, ZOE, 4), (4, 2**32 - 1, 0),
                                                       (16, 2**32 - 1, 4), (32, 2**32 - 1, 0)))  # fmt: skip
    _made(group / "not-zoe.txt", "for all but zoe", 0o664, acl((1, 2**32 - 1, 6), (2, ZOE, 0), (4, 2**32 - 1, 6),
                                                               (16, 2**32 - 1, 6), (32, 2**32 - 1, 4)))  # fmt: skip
    for name, mode in (("closed", 0o700), ("open", 0o2770)):
        (group / name / "deeper").mkdir(parents=True)
        _made(group / name / "deeper/inside.txt", "inside", 0o644)
        for path in (group / name, group / name / "deeper"):
            os.chown(path, BORIS, GROUP)
            path.chmod(mode)
    _made(group / "open/mine.txt", "boris again", 0o600)
    (data / "groups/theory").mkdir()
    os.chown(data / "groups/theory", 0, OTHERS)
    (data / "groups/theory").chmod(0o2770)
    _made(data / "groups/theory/paper.tex", "theory", 0o660, gid=OTHERS)


def _made(path: Path, text: str, mode: int, entries: bytes = b"", gid: int = GROUP) -> None:
    path.write_text(text)
    os.chown(path, BORIS, gid)
    path.chmod(mode)
    if entries:
        os.setxattr(path, "system.posix_acl_access", entries)


class Asked:
    """The service, asked by somebody with a token."""

    def __init__(self, port: int, token: str):
        self.url, self.token = f"http://127.0.0.1:{port}/members/", token

    def ask(self, method: str, address: str, **words: Any) -> requests.Response:
        """The answer."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, self.url + address, headers=headers, timeout=60, **words)

    def get(self, address: str, **words: str) -> dict[str, Any]:
        """The data of an answer that has to be good."""
        answer = self.ask("GET", address, params=words)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def newest(self, place: str) -> str:
        """The newest copy of a place."""
        return self.get("dates", place=place)["dates"][0]["snapshot"]

    def folder(self, place: str, path: str = "") -> dict[str, dict[str, Any]]:
        """Name -> entry in the newest copy."""
        found = self.get("folder", place=place, snapshot=self.newest(place), path=path)
        return {each["name"]: each for each in found["entries"]}

    def begin(self, place: str, path: str = "") -> requests.Response:
        """The answer to an order for the newest copy."""
        return self.ask("POST", "restores", json={"place": place, "snapshot": self.newest(place), "path": path})

    def restore(self, place: str, path: str = "") -> dict[str, Any]:
        """One that was ordered and has ended."""
        begun = self.begin(place, path)
        assert begun.status_code == 202, begun.text
        return self.ended(begun.json()["id"])

    def runs(self, id_: str) -> None:
        """Nothing, once something of it has come to the hub."""
        until(lambda: (self.one(id_, "running") or {}).get("bytes"), 30, "the restore to run")

    def ended(self, id_: str) -> dict[str, Any]:
        """It, once it has ended."""
        return until(lambda: self.one(id_, "done", "failed", "stopped"), 60, "the restore to end")

    def one(self, id_: str, *states: str) -> dict[str, Any] | None:
        """It, if it is in one of these states."""
        (found,) = (each for each in self.get("restores")["restores"] if each["id"] == id_)
        return found if found["state"] in states else None


class Service:
    """The service for members, on a thread."""

    def __init__(self, place: Place):
        self.answers, self.port = Answers(place), free_ports()
        self._server = door.server(self.answers.answer, lambda path: (200, "ok\n"), self.port)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def end(self) -> None:
        """It, and all restores in it."""
        self.answers.restores.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def members_site(restic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MembersSite]:
    """Targets with copies of all kinds, made with the restic of our image."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{restic}:{before}"
    yield MembersSite(tmp_path_factory.mktemp("members"))
    os.environ["PATH"] = before


@pytest.fixture(scope="module")
def one_hub() -> Iterator[RestoredHub]:
    """A small hub."""
    yield from restored_hub.running()


@pytest.fixture(scope="module")
def members_service(members_site: MembersSite, one_hub: RestoredHub) -> Iterator[Service]:
    """The service, which asks that hub."""
    service = Service(members_site.of_hub(one_hub))
    yield service
    service.end()


@pytest.fixture
def small_hub(one_hub: RestoredHub) -> Iterator[RestoredHub]:
    """The hub, which has received nothing yet and takes all."""
    one_hub.received.clear()
    yield one_hub
    one_hub.refusal, one_hub.closes_after = None, 0
    one_hub.takes.set()


@pytest.fixture
def zoe(members_service: Service, small_hub: RestoredHub) -> Asked:
    """A member of the group cms."""
    return Asked(members_service.port, small_hub.person("zoe", "cms"))


@pytest.fixture
def outsider(members_service: Service, small_hub: RestoredHub) -> Asked:
    """Somebody who is in no group."""
    return Asked(members_service.port, small_hub.person("boris"))
