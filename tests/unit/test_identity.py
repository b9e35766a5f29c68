"""Names and uids."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.identity import Identities, Subjects, escape

NAMES = st.text(max_size=210)


@given(NAMES)
def test_every_name_becomes_a_host_label(name):
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", escape(name))


@given(NAMES, NAMES)
def test_different_names_stay_different(one, other):
    assert (escape(one) == escape(other)) == (one == other)


@given(NAMES)
def test_an_escaped_name_is_nobody_elses_plain_name(name):
    if escape(name) != name:
        assert escape(escape(name)) != escape(name)


@pytest.mark.parametrize("name", ["root", "nobody", "localhost", "hub"])
def test_names_that_mean_something_are_not_kept(name):
    assert escape(name) != name


@pytest.fixture
def open_book(tmp_path):
    """Call it for the book with two uids and two gids, opened anew."""
    return lambda: Identities(tmp_path / "identity.sqlite", range(70000, 70002), range(90000, 90002))


def test_numbers_are_handed_out_once_and_kept(open_book, tmp_path):
    anna, bob = open_book().person("anna", ["cms", "ml"]), open_book().person("bob", ["ml"])
    assert (anna.uid, bob.uid) == (70000, 70001)
    assert [(group.name, group.gid) for group in anna.groups] == [("cms", 90000), ("ml", 90001)]
    assert bob.groups == anna.groups[1:]
    assert open_book().person("anna", ["cms", "ml"]) == anna
    assert anna.home == "/home/anna"
    assert (tmp_path / "identity.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "groups", "setting"), [("eva", [], r"uids\.last"), ("anna", ["atlas"], r"gids\.last")], ids=["uid", "gid"]
)
def test_a_used_up_range_says_what_to_raise(open_book, name, groups, setting):
    for member in ("anna", "bob"):
        open_book().person(member, ["cms", "ml"])
    with pytest.raises(OperatorError, match=setting):
        open_book().person(name, groups)


def test_groups_that_look_alike_are_not_one(open_book):
    nested, flat = open_book().person("anna", ["ml/keepers", "ml-keepers"]).groups
    assert nested.gid != flat.gid
    assert nested.folder != flat.folder
    assert flat.folder == "/groups/ml-keepers"
    assert nested.folder.startswith("/groups/ml-keepers--")


def test_groups_that_differ_in_case_are_not_one(open_book):
    small, large = open_book().person("anna", ["cms", "CMS"]).groups
    assert (small.gid, small.folder) != (large.gid, large.folder)
    assert large.folder.lower() != small.folder.lower()


def test_a_book_of_before_learns_of_groups(tmp_path, open_book):
    with closing(sqlite3.connect(tmp_path / "identity.sqlite")) as book:
        book.execute("CREATE TABLE users (name TEXT PRIMARY KEY, uid INTEGER UNIQUE NOT NULL)")
        book.execute("INSERT INTO users VALUES ('anna', 70000)")
        book.commit()
    anna = open_book().person("anna", ["cms"])
    assert (anna.uid, anna.groups[0].gid) == (70000, 90000)


def test_those_who_come_at_once_get_numbers_of_their_own(tmp_path):
    def come(number: int) -> tuple[int, int]:
        book = Identities(tmp_path / "identity.sqlite", range(70000, 70100), range(90000, 90100))
        person = book.person(f"member-{number}", ["cms"])
        return person.uid, person.groups[0].gid

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(come, range(24)))
    assert len({uid for uid, _ in found}) == 24
    assert {gid for _, gid in found} == {90000}


ISSUER = "https://iam.example.org"


@pytest.fixture
def subjects(tmp_path):
    return Subjects(tmp_path / "identity.sqlite")


def test_name_is_who_had_it_first_for_ever(subjects):
    subjects.claim("anna", ISSUER, "one")
    subjects.claim("anna", ISSUER, "one")
    for other in ((ISSUER, "two"), ("https://iam.example.com", "one")):
        with pytest.raises(UserError, match="belongs to another person") as refused:
            subjects.claim("anna", *other)
        assert refused.value.reason == "subject"
    Subjects(subjects.path).claim("anna", ISSUER, "one")


def test_name_that_was_forgotten_is_the_next_ones(subjects):
    subjects.claim("anna", ISSUER, "one")
    assert subjects.forget("anna") is True
    assert subjects.forget("anna") is False
    with pytest.raises(UserError, match="belongs to another person"):
        subjects.check("anna", ISSUER, "one")
    subjects.claim("anna", ISSUER, "two")
    subjects.check("anna", ISSUER, "two")


def test_looking_up_a_name_gives_it_to_nobody(subjects):
    subjects.check("anna", ISSUER, "one")
    subjects.claim("anna", ISSUER, "two")
    with pytest.raises(UserError, match="belongs to another person"):
        subjects.check("anna", ISSUER, "one")


def test_of_two_who_come_at_once_one_has_the_name(subjects):
    def come(subject: int) -> bool:
        try:
            subjects.claim("anna", ISSUER, str(subject))
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come, range(8))) == 1


def test_a_book_that_cannot_be_used_lets_nobody_in(tmp_path):
    (tmp_path / "identity.sqlite").write_text("no database " * 100)
    with pytest.raises(OperatorError, match="cannot be used"):
        Subjects(tmp_path / "identity.sqlite").claim("anna", ISSUER, "one")
