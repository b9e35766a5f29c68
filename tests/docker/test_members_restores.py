"""Members look into copies and get files back, with the real restic and a small hub."""

from __future__ import annotations

import os
import stat

import pytest
from support.backups import DEEP
from support.members_site import HUGE, Asked

pytestmark = pytest.mark.docker


def test_a_member_finds_a_notebook_of_the_night_and_gets_its_folder(zoe, small_hub):
    assert [each["name"] for each in zoe.get("places")["places"]] == ["home", "shared", "groups/cms", "rooms/cms"]
    assert zoe.folder("home")["analysis"]["type"] == "folder"
    assert zoe.folder("home", "analysis")["notebook.ipynb"]["size"] == 2
    done = zoe.restore("home", "analysis")
    assert (done["state"], done["bytes"], done["of_bytes"], done["words"]) == ("done", 4002, 4002, "")
    (received,) = small_hub.received
    assert (received.end, received.token, received.words["bytes"]) == ("whole", zoe.token, "4002")
    assert received.words["into"] == "home/analysis"
    assert received.words["date"] == done["time"][:16].replace(":", ".")
    assert set(received.files()) == {"notebook.ipynb", "plots", "plots/one.png"}
    assert received.content("plots/one.png") == b"\x89PNG" * 1000


def test_a_whole_home_comes_as_it_was(members_site, zoe, small_hub):
    done = zoe.restore("home")
    (received,) = small_hub.received
    assert (done["state"], done["bytes"], received.end) == ("done", done["of_bytes"], "whole")
    assert received.words["into"] == "home"
    home = os.fsencode(members_site.folder / "data/homes/zoe")
    found = received.files()
    for folder, folders, names, handle in os.fwalk(home):
        below = os.path.relpath(folder, home).removeprefix(b"./") if folder != home else b""
        for name in (*folders, *names):
            path = os.fsdecode(os.path.join(below, name))
            if not {".cache", "scratch"} & set(path.split("/")):
                assert _as_seen(found.pop(path)) == _there(name, handle), path
    assert all(path.startswith("scratch") for path in found), "what is left out of copies cannot come"
    assert received.content("huge") == bytes(HUGE)


def _as_seen(entry) -> tuple:
    return entry.mode, entry.size, int(entry.mtime + 0.5), entry.linkname


def _there(name: bytes, folder: int) -> tuple:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    is_file, is_link = stat.S_ISREG(status.st_mode), stat.S_ISLNK(status.st_mode)
    return (stat.S_IMODE(status.st_mode), status.st_size if is_file else 0, round(status.st_mtime_ns / 1e9),
            os.readlink(name, dir_fd=folder).decode() if is_link else "")  # fmt: skip


def test_names_are_shown_and_asked_for_as_they_are(zoe, small_hub):
    found = zoe.folder("home")
    names = {name: each["may"] for name, each in found.items()}
    odd = {"new\nline", "[glob]*?\\", " ünï", "-rf", "$HOME", "run.sh", "way"}
    assert {name: names[name] for name in odd} == dict.fromkeys(odd, True)
    assert names["bad\ufffd\ufffdname"] is False
    types = [each["type"] == "folder" for each in found.values()]
    assert types == sorted(types, reverse=True), "folders come first"
    for name in ("new\nline", "[glob]*?\\", "-rf"):
        assert zoe.restore("home", name)["state"] == "done", name
        received = small_hub.received[-1]
        assert (list(received.files()), received.words["into"], received.end) == ([name], "home", "whole")
    assert zoe.ask("GET", "folder", params={"place": "home", "snapshot": zoe.newest("home"),
                                            "path": "bad\ufffd\ufffdname"}).status_code == 404  # fmt: skip


def test_a_file_comes_alone_with_its_rights_and_time(zoe, small_hub):
    done = zoe.restore("home", "run.sh")
    assert (done["bytes"], done["of_bytes"], done["files"]) == (10, 10, 1)
    (received,) = small_hub.received
    entry = received.files()["run.sh"]
    assert (entry.mode, int(entry.mtime), received.content("run.sh")) == (0o755, 1_700_000_001, b"#!/bin/sh\n")
    assert zoe.restore("home", "way")["state"] == "done"
    assert small_hub.received[-1].files()["way"].linkname == "analysis"
    deep = "/".join(DEEP.split("/")[:18])
    assert zoe.restore("home", f"{deep}/{'d' * 200}/end")["state"] == "done"
    assert small_hub.received[-1].words["into"] == f"home/{deep}/{'d' * 200}"


def test_of_a_folder_with_very_many_files_some_are_shown_and_all_can_be_had(members_service, small_hub):
    dora = Asked(members_service.port, small_hub.person("dora"))
    found = dora.get("folder", place="home", snapshot=dora.newest("home"), path="many")
    names = [each["name"] for each in found["entries"]]
    assert (names[:2], len(names), found["more"]) == (["z-folder", "0000"], 2000, True)
    assert dora.restore("home", "many/2099")["state"] == "done"
    assert dora.begin("home", "many/2100").status_code == 404
    assert dora.restore("home", "many")["state"] == "done"
    assert len(small_hub.received[-1].files()) == 2101


def test_an_attribute_that_no_archive_can_hold_is_said_and_its_file_comes_alone(members_service, small_hub):
    erik = Asked(members_service.port, small_hub.person("erik"))
    ended = erik.restore("shared")
    assert ended["state"] == "failed"
    assert "an extended attribute with '=' in its name" in ended["words"]
    assert erik.restore("shared", "fit.txt")["state"] == "done"
    assert small_hub.received[-1].content("fit.txt") == b"a fit"
