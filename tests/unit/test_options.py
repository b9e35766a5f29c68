"""What people ask for, in a form, through the API or stored, against what they are offered."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.options import Offer, from_form, offer, parse, parse_profiles, profile_list_of
from jupyterhub_mlinfn.settings import Settings

IMAGES = [
    {"slug": "lab", "title": "JupyterLab", "image": "mlinfn/lab"},
    {"slug": "lab-ml", "title": "ML", "image": "mlinfn/lab-ml:2", "groups": ["ml"],
     "memory": ["8G", "32G"], "cpus": [0.5]},
]  # fmt: skip
TYPED = {"groups": ["keepers"], "pattern": r"docker\.io/.+"}
SETTINGS = Settings(images=IMAGES, unlisted_images=TYPED)
PROFILES = parse_profiles(profile_list_of(SETTINGS))
EVERYTHING = offer(PROFILES, ["ml", "keepers"])
ORDINARY = offer(PROFILES, [])
REFERENCE = "image--unlisted-choice"


def test_nothing_asked_means_the_defaults():
    choice = parse({}, ORDINARY)
    assert (choice.profile, choice.image, choice.memory, choice.cpus) == ("lab", "mlinfn/lab", 2 * 2**30, 1.0)
    assert choice.words == {"profile": "lab", "memory": "2G", "cpus": "1"}
    assert choice.overrides == {"default_url": "/lab"}


def test_what_was_chosen_can_be_asked_for_again():
    choice = parse({"profile": "lab-ml", "memory": "32G"}, EVERYTHING)
    assert parse(choice.words, EVERYTHING) == choice
    assert (choice.memory, choice.cpus) == (32 * 2**30, 0.5)


@pytest.mark.parametrize("cpus", ["2", 2, 2.0])
def test_numbers_of_the_api_are_keys(cpus):
    assert parse({"cpus": cpus}, ORDINARY).cpus == 2.0


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"memory": "900G"}, "Memory 900G is not offered for JupyterLab. Choose one of: 2G, 4G, 8G."),
        ({"profile": "lab-ml"}, "lab-ml is not an image that is offered to you. Choose one of: lab."),
        ({"gpus": "1"}, "GPUs 1 cannot be had. There is none that you may have: ask for 0."),
        ({"disk": "1"}, "JupyterLab has no option disk. It takes: profile, memory, cpus."),
        ({REFERENCE: "docker.io/library/debian"}, f"has no option {REFERENCE}"),
        ({"image": "evil"}, "has no option image"),
        ({"profile": None}, "None is not an image that is offered"),
        ({"memory": ["2G"]}, "Memory (a list or mapping) is not offered"),
        ({"memory": {"a": {"b": "c"}}}, "Memory (a list or mapping) is not offered"),
        ({"memory": True}, "Memory True is not offered"),
        ({"cpus": 10**400}, "CPUs (a huge number) is not offered"),
        ({"memory": "9" * 10**6}, "9… is not offered"),
        ({"memory": "2G\n\x1b[31m"}, "Memory 2G??[31m is not offered"),
        ({"memory": ""}, "Memory (empty) is not offered"),
        ("profile=lab", "mapping of names to values"),
    ],
)
def test_what_is_not_offered_is_refused_with_what_is(asked, sentence):
    with pytest.raises(UserError) as refused:
        parse(asked, ORDINARY)
    assert sentence in str(refused.value)
    assert refused.value.reason == "options"
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_nothing_is_offered_to_somebody_in_no_group():
    with pytest.raises(UserError, match="No image is offered to you"):
        parse({}, Offer())


def test_a_typed_image_is_for_the_groups_that_may_type_one():
    asked = {"profile": "unlisted", REFERENCE: "docker.io/library/debian:13"}
    assert parse(asked, EVERYTHING).image == "docker.io/library/debian:13"
    with pytest.raises(UserError, match="unlisted is not an image that is offered"):
        parse(asked, offer(PROFILES, ["ml"]))


@pytest.mark.parametrize(
    "reference",
    ["", " ", "docker.io/A", "docker.io/a b", "docker.io/../x", "docker.io/a\nb", "docker.io/a:",
     "docker.io/" + "a" * 600, "evil.example/docker.io/a", "xdocker.io/a",
     "docker.io/", None, 7, ["docker.io/a"], {}, "docker.io/a@sha256:12"],
)  # fmt: skip
def test_what_is_no_allowed_reference_is_refused(reference):
    with pytest.raises(UserError):
        parse({"profile": "unlisted", REFERENCE: reference}, EVERYTHING)


def test_forgetting_the_pattern_opens_nothing():
    unlisted = SimpleNamespace(groups=("keepers",), pattern="")
    settings = SimpleNamespace(images=(), profile_list=(), sizes=SETTINGS.sizes, unlisted_images=unlisted)
    keepers = offer(parse_profiles(profile_list_of(settings)), ["keepers"])
    with pytest.raises(UserError, match="not allowed"):
        parse({"profile": "unlisted", REFERENCE: "docker.io/library/debian"}, keepers)


def test_form_fields_become_plain_keys():
    fields = {
        "profile": ["lab-ml"], "_xsrf": ["secret"],
        "profile-option-lab-ml--memory": ["32G"], "profile-option-lab-ml--cpus": ["0.5"],
        "profile-option-lab--memory": ["2G"], "profile-option-unlisted--image--unlisted-choice": [""],
    }  # fmt: skip
    assert from_form(fields) == {"profile": "lab-ml", "memory": "32G", "cpus": "0.5"}


def test_a_typed_text_counts_only_where_it_was_chosen():
    def fields(tag):
        return {"profile": ["a"], "profile-option-a--tag": [tag], "profile-option-a--tag--unlisted-choice": ["mine"]}

    assert from_form(fields("unlisted-choice")) == {"profile": "a", "tag--unlisted-choice": "mine"}
    assert from_form(fields("stable")) == {"profile": "a", "tag": "stable"}


@pytest.mark.parametrize(
    "fields",
    [{"profile": ["lab", "lab-ml"]}, {"profile": ["lab"], "gpus": ["1"]}, {"profile": ["lab"], "upload_file": [{}]},
     {"profile": []}, {"profile": ["lab"], "profile-option-lab--memory": ["2G", "4G"]}],
)  # fmt: skip
def test_odd_forms_are_refused(fields):
    with pytest.raises(UserError):
        parse(from_form(fields), EVERYTHING)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["profile", "memory", "cpus", "image", REFERENCE, "memory--unlisted-choice", "gpus"])
offered = st.sampled_from(["lab", "lab-ml", "unlisted", "2G", "8G", "32G", "1", 2, 0.5, "docker.io/library/debian:13"])


def choice_or_refusal(asked):
    """The choice, or None after a refusal in one printable line; anything else fails the test."""
    try:
        return parse(asked, EVERYTHING)
    except UserError as error:
        refusal = str(error)
    assert refusal.isprintable()
    return None


@given(st.dictionaries(keys | st.text(max_size=8), offered | json_values, max_size=5))
def test_any_json_makes_an_offered_choice_or_a_refusal(asked):
    before = copy.deepcopy(EVERYTHING)
    choice = choice_or_refusal(asked)
    if choice:
        typed = asked.get(REFERENCE)
        assert choice.image in {"mlinfn/lab", "mlinfn/lab-ml:2", typed.strip() if isinstance(typed, str) else None}
        assert choice.memory in {n * 2**30 for n in (2, 4, 8, 32)}
        assert choice.cpus in {0.5, 1, 2, 4}
        assert parse(choice.words, EVERYTHING) == choice
    assert before == EVERYTHING


names = st.text(max_size=30) | st.just("profile")


@given(st.dictionaries(names, st.lists(st.text(max_size=10), max_size=3), max_size=5))
def test_any_form_makes_a_choice_or_a_refusal(fields):
    choice_or_refusal(from_form(fields))
