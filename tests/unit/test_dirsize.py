"""What folders take on the disk, whatever their owners put there, and while they change."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.process import Program
from support.wait import until

from jupyterhub_mlinfn import dirsize
from jupyterhub_mlinfn.dirsize import DEEPEST, Pace, Sizes, size_of

FAST = Pace(10**9)
DEEP = 400
"""Folders in each other, whose path is longer than one may be."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two homes, one group, and what both people show to all."""
    for name in ("users/anna", "users/bob/deep", "groups/cms", "shared/anna", "rooms"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "users/anna/paper").write_bytes(b"x" * 100_000)
    (tmp_path / "users/bob/deep/data").write_bytes(b"x" * 1_000_000)
    return tmp_path


def on_disk(*paths: Path) -> int:
    """What they take."""
    return sum(path.lstat().st_blocks * 512 for path in paths)


def test_everything_below_counts_and_the_folder_itself(data):
    bob = data / "users/bob"
    os.utime(bob / "deep/data", (1, 1))
    size = size_of(bob, FAST)
    assert (size.bytes, size.entries, size.oldest) == (on_disk(bob, bob / "deep", bob / "deep/data"), 3, 1)
    assert size.newest == (bob / "deep").stat().st_mtime


def test_what_is_not_on_the_disk_does_not_count(data):
    with (data / "users/anna/sparse").open("wb") as file:
        file.truncate(10**12)
    assert size_of(data / "users/anna", FAST).bytes < 10**6


def test_links_lead_nowhere(data):
    anna = data / "users/anna"
    before = size_of(anna, FAST)
    for name, target in (("bobs", "../bob"), ("here", "."), ("there", "."), ("all", "/"), ("gone", "nothing")):
        (anna / name).symlink_to(target)
    after = size_of(anna, FAST)
    assert after.entries == before.entries + 5
    assert after.bytes - before.bytes <= on_disk(*(anna / name for name in ("bobs", "here", "there", "all", "gone")))


def test_a_link_that_takes_the_place_of_a_folder_is_not_opened(data):
    (data / "users/anna/bobs").symlink_to("../bob")
    assert list(dirsize._entries(data / "users/anna/bobs")) == []


def test_a_file_with_two_names_counts_once(data):
    anna = data / "users/anna"
    before = size_of(anna, FAST)
    os.link(anna / "paper", anna / "copy")
    after = size_of(anna, FAST)
    assert (after.bytes, after.entries) == (before.bytes, before.entries)


@contextmanager
def deep(folder: Path, levels: int) -> Iterator[None]:
    """So many folders, one in the other, in this one."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("ten-letters", dir_fd=place)
        above, place = place, os.open("ten-letters", os.O_RDONLY, dir_fd=place)
        os.close(above)
    os.close(place)
    try:
        yield
    finally:
        subprocess.run(["rm", "-r", str(folder / "ten-letters")], check=True)  # pytest's own way does not come so deep


def test_folders_that_are_deeper_than_a_path_may_be_long_are_looked_into(tmp_path):
    with deep(tmp_path, DEEP):
        assert size_of(tmp_path, FAST).entries == DEEP + 1


def test_what_is_so_deep_that_there_were_too_few_open_files_is_not_counted(tmp_path):
    with deep(tmp_path, DEEPEST + 50):
        assert size_of(tmp_path, FAST).entries == DEEPEST + 1


class Vanishing(Pace):
    """A member who removes a folder at the worst moment."""

    def __init__(self, folder: Path):
        super().__init__(10**9)
        self.folder = folder

    def take(self) -> None:
        """Before the first entry is looked at."""
        for path in (self.folder / "data", self.folder):
            if path.exists():
                path.rmdir() if path.is_dir() else path.unlink()


def test_what_goes_meanwhile_ends_nothing(data):
    assert size_of(data / "users/bob", Vanishing(data / "users/bob/deep")).entries == 1


def values(sizes: Sizes) -> dict:
    """Values by name, directory and kind."""
    text = sizes.answer("/metrics")[1]
    return {(each.name, *each.labels.values()): each.value
            for family in text_string_to_metric_families(text) for each in family.samples}  # fmt: skip


def test_each_folder_is_told_with_its_kind(data):
    sizes = Sizes(data)
    for kind in dirsize.KINDS:
        sizes.look(kind)
    told = values(sizes)
    assert {key[1:] for key in told if key[0] == "dirsize_entries_count"} == {
        ("anna", "users"), ("bob", "users"), ("cms", "groups"), ("anna", "shared")}  # fmt: skip
    assert told["dirsize_total_size_bytes", "bob", "users"] >= 1_000_000
    assert told["mlinfn_dirsize_round_timestamp_seconds", "users"] == pytest.approx(time.time(), abs=60)
    (data / "users/bob/deep/data").unlink()
    (data / "users/bob/deep").rmdir()
    (data / "users/bob").rmdir()
    sizes.look("users")
    assert ("dirsize_entries_count", "bob", "users") not in values(sizes)


def test_without_names_people_are_together(data):
    sizes = Sizes(data, named=False)
    for kind in dirsize.KINDS:
        sizes.look(kind)
    told = values(sizes)
    assert {key[1:] for key in told if key[0] == "dirsize_entries_count"} == {
        ("", "users"), ("cms", "groups"), ("", "shared")}  # fmt: skip
    assert told["dirsize_entries_count", "", "users"] == 5


def test_a_disk_that_is_away_is_said_and_nothing_is_forgotten(data, capsys):
    sizes = Sizes(data)
    sizes.look("groups")
    (data / "groups").rename(data / "away")
    sizes.look("groups")
    assert ("dirsize_entries_count", "cms", "groups") in values(sizes)
    assert "groups cannot be looked at" in capsys.readouterr().err


class Failing(Pace):
    """A disk that gives an answer of these to each look, and then lets all pass."""

    def __init__(self, *answers: BaseException):
        super().__init__(10**9)
        self.answers = list(answers)

    def take(self) -> None:
        """The next answer."""
        if self.answers:
            raise self.answers.pop(0)


def test_a_home_that_is_away_is_said_and_holds_up_no_other(data, capsys):
    sizes = Sizes(data)
    sizes.look("users")
    sizes.ended["users"], sizes.pace = 0, Failing(OSError(errno.ESTALE, "Stale file handle"))
    (data / "users/bob/deep/more").touch()
    sizes.look("users")
    assert (sizes.known["users"]["anna"].entries, sizes.known["users"]["bob"].entries) == (2, 4)
    assert sizes.ended["users"] > 0
    assert "users/anna cannot be looked at: [Errno 116]" in capsys.readouterr().err


def test_whatever_goes_wrong_the_next_round_comes(data, capsys):
    sizes = Sizes(data)
    sizes.pace = Failing(RuntimeError("nobody thought of it"), SystemExit())
    with pytest.raises(SystemExit):
        sizes.go_on(0)
    assert "cms" in sizes.known["groups"], "the round went on"
    assert "RuntimeError: nobody thought of it" in capsys.readouterr().err


def test_the_pace_is_kept():
    pace, began = Pace(1000), time.monotonic()
    for _ in range(400):
        pace.take()
    assert 0.15 < time.monotonic() - began < 2


def test_service_answers_and_ends_at_once(free_port, tmp_path):
    """As a process; no machine has /data/users."""
    service = Program([sys.executable, "-m", "jupyterhub_mlinfn.dirsize"], tmp_path / "log",
                      {"MLINFN_DIRSIZE_PORT": str(free_port)})  # fmt: skip
    service.start()
    url = f"http://127.0.0.1:{free_port}"
    try:
        until(lambda: _text(url), 20, "the service to answer")
        assert 'mlinfn_dirsize_round_timestamp_seconds{kind="users"} 0.0' in _text(url)
        assert requests.get(f"{url}/health", timeout=1).text == "ok\n"
        assert requests.get(f"{url}/", timeout=1).status_code == 404
    finally:
        service.stop()
    assert service.wait(0) == 0, service.text()


def _text(url: str) -> str:
    try:
        return requests.get(f"{url}/metrics", timeout=1).text
    except requests.ConnectionError:
        return ""
