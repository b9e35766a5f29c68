"""Names and uids."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

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


def test_numbers_are_handed_out_once_and_kept(tmp_path):
    book = Identities(tmp_path / "identity.sqlite", 70000, 70001)
    anna, bob = book.person("anna"), book.person("bob")
    assert (anna.uid, bob.uid) == (70000, 70001)
    assert Identities(tmp_path / "identity.sqlite", 70000, 70001).person("anna") == anna
    assert anna.home == "/home/anna"
    assert (tmp_path / "identity.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_used_up_range_says_what_to_raise(tmp_path):
    book = Identities(tmp_path / "identity.sqlite", 70000, 70000)
    book.person("anna")
    with pytest.raises(OperatorError, match=r"uids\.last"):
        book.person("bob")


ISSUER = "https://iam.example.org"


@pytest.fixture
def subjects(tmp_path):
    return Subjects(tmp_path / "identity.sqlite")


def test_name_is_who_had_it_first_for_ever(subjects):
    subjects.recognise("anna", ISSUER, "one")
    subjects.recognise("anna", ISSUER, "one")
    for other in ((ISSUER, "two"), ("https://iam.example.com", "one")):
        with pytest.raises(UserError, match="belongs to another person") as refused:
            subjects.recognise("anna", *other)
        assert refused.value.reason == "subject"
    Subjects(subjects.path).recognise("anna", ISSUER, "one")


def test_name_that_was_forgotten_is_the_next_ones(subjects):
    subjects.recognise("anna", ISSUER, "one")
    assert subjects.forget("anna") is True
    assert subjects.forget("anna") is False
    subjects.recognise("anna", ISSUER, "two")


def test_of_two_who_come_at_once_one_has_the_name(subjects):
    def come(subject: int) -> bool:
        try:
            subjects.recognise("anna", ISSUER, str(subject))
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come, range(8))) == 1


def test_a_book_that_cannot_be_used_lets_nobody_in(tmp_path):
    (tmp_path / "identity.sqlite").write_text("no database " * 100)
    with pytest.raises(OperatorError, match="cannot be used"):
        Subjects(tmp_path / "identity.sqlite").recognise("anna", ISSUER, "one")
