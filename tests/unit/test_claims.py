"""What claims of a person come to, hostile ones included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn import claims
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.settings_types import GROUP

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NO_GROUPS = {
    "missing": {}, "null": {"groups": None}, "a text": {"groups": "cms"}, "an object": {"groups": {"cms": True}},
    "a number": {"groups": 7}, "nested lists": {"groups": [["cms"]]}, "no texts": {"groups": [None, 7, True]},
    "paths": {"groups": ["../cms", "cms/../..", "/../cms", "cms/./ml", "//cms", "cms//ml", "cms/"]},
    "line ends": {"groups": ["cms\n", "\ncms", "cms\r\nml"]}, "10 KB": {"groups": ["cms" * 3500]},
    "spaces": {"groups": [" cms", "cms ml", ""]}, "only a slash": {"groups": ["/"]},
    "look-alikes": {"groups": ["c\u043cs", "cms\u200b", "\uff23\uff2d\uff33"]},
}  # fmt: skip


@pytest.mark.parametrize(
    "given_groups",
    [{"groups": ["cms", "cms/ml"]}, {"wlcg.groups": ["/cms", "/cms/ml"]}, {"groups": ["/cms", "cms/ml", "cms"]},
     {"groups": ["cms"], "wlcg.groups": ["/cms/ml", "/cms"]}],
    ids=["iam", "wlcg", "mixed", "both"],
)  # fmt: skip
def test_both_shapes_become_the_same_names(given_groups):
    assert claims.groups(given_groups) == ("cms", "cms/ml")


@pytest.mark.parametrize("hostile", NO_GROUPS.values(), ids=NO_GROUPS)
def test_what_is_no_group_is_left_out(hostile):
    assert claims.groups(hostile) == ()


def test_good_groups_beside_bad_ones_are_kept():
    assert claims.groups({"groups": ["../x", "cms", 5, "a\n", "atlas.1_x-y/B"]}) == ("cms", "atlas.1_x-y/B")


def test_groups_are_bounded():
    many = [f"group-{number}" for number in range(5000)]
    assert claims.groups({"groups": many}) == tuple(many[: claims.MOST_GROUPS])


@given(ANYTHING, ANYTHING)
def test_whatever_comes_groups_are_names_of_groups(one, other):
    found = claims.groups({"groups": one, "wlcg.groups": other})
    assert all(GROUP.fullmatch(name) and len(name) <= 255 for name in found)


@given(st.dictionaries(st.sampled_from(["sub", "name", "given_name", "family_name", "email", "preferred_username"]),
                       ANYTHING))  # fmt: skip
def test_whatever_comes_names_are_short_and_of_one_line(hostile):
    shown = [*claims.user_info(hostile, "anna").values(), *claims.git_user(hostile).values(), claims.subject(hostile)]
    assert all(text.isprintable() and len(text) <= 401 for text in shown)


@pytest.mark.parametrize(("name", "is_"), [("anna", "anna"), ("Anna.Rossi", "anna.rossi"), ("anna@infn.it",) * 2])
def test_user_name_is_the_preferred_one(name, is_):
    assert claims.user_name({"preferred_username": name}) == is_


@pytest.mark.parametrize(
    "name", [None, "", "  ", 7, ["anna"], "../root", "a/b", "..", "x" * 201, "anna\nroot", "anna\u202e"], ids=repr
)
def test_names_that_cannot_be_had_are_refused(name):
    with pytest.raises(UserError) as refused:
        claims.user_name({"preferred_username": name})
    assert refused.value.reason == "name"


@pytest.mark.parametrize("sub", [None, "", 7, ["s"], "x" * 256, "a\nb"], ids=repr)
def test_subject_that_is_none_is_nobody(sub):
    assert claims.subject({"sub": sub}) == ""


@pytest.mark.parametrize(
    ("name", "initials"),
    [("Anna Maria Rossi", "AR"), ("anna", "A"), ("Müller Jörg", "MJ"), ("Jean-Luc Picard", "JP"), ("李 小龍", "李小"),
     ("A. Rossi", "AR"), ("Ada Ada", "AA"), ("- (x)", "")],
)  # fmt: skip
def test_initials(name, initials):
    assert claims.initials(name) == initials


def test_people_are_called_as_they_say():
    said = {"name": "  Anna \t Rossi ", "email": "anna@example.org"}
    assert claims.user_info(said, "anna") == {"name": "Anna Rossi", "display_name": "Anna Rossi", "initials": "AR",
                                              "color": claims.color("anna")}  # fmt: skip
    assert claims.git_user(said) == {"name": "Anna Rossi", "email": "anna@example.org"}
    assert claims.full_name({"given_name": "Anna", "family_name": "Rossi"}) == "Anna Rossi"
    assert claims.user_info({}, "anna")["display_name"] == "anna"
    assert claims.git_user({"email": "no address"}) == {}


def test_people_have_colours_that_stay_and_can_be_read_on():
    names = [f"person{number}" for number in range(200)]
    assert {claims.color(name) for name in names} == set(claims.COLORS)
    assert claims.color("anna") == claims.color("anna")
    assert min(contrast_with_white(each) for each in claims.COLORS) > 4.5


def contrast_with_white(colour):
    """The ratio that WCAG 2 asks to be 4.5 for text."""
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    light = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] + 0.05)
