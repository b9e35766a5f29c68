"""Names and uids."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.identity import Identities, escape

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
