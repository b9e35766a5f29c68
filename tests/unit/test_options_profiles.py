"""KubeSpawner's lists, pasted: what they become, what is left out, what is refused."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest

from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.options import (
    host_profiles,
    ignored_keys,
    is_image_reference,
    offer,
    parse,
    parse_profiles,
    profile_list_of,
)
from jupyterhub_mlinfn.settings import Settings

# The shape of KubeSpawner's own documentation, with its Kubernetes keys.
PASTED = [
    {"display_name": "Training Env - Python", "slug": "training-python", "default": True,
     "profile_options": {
         "image": {"display_name": "Image",
                   "choices": {"pytorch": {"display_name": "Python 3 - PyTorch",
                                           "kubespawner_override": {"image": "training/pytorch:2022.01.01"}},
                               "tf": {"display_name": "TensorFlow", "default": True,
                                      "kubespawner_override": {"image": "training/tf:1",
                                                               "environment": {"TF": "1", "A": None}}}},
                   "unlisted_choice": {"enabled": True, "display_name": "Image reference",
                                       "validation_regex": "training/.+", "validation_message": "Ours only.",
                                       "kubespawner_override": {"image": "{value}"}}}},
     "kubespawner_override": {"cpu_limit": 1, "mem_limit": "512M", "environment": {"A": "a", "B": "b"},
                              "node_selector": {"gpu": "yes"}, "tolerations": []}},
    {"display_name": "Données & GPU", "description": "Group only", "allowed_groups": ["physics"],
     "kubespawner_override": {"image": "gpu:1", "extra_resource_limits": {"nvidia.com/gpu": "1"}, "cmd": ["start"]}},
]  # fmt: skip


def _entry(**more):
    return {"display_name": "A", "kubespawner_override": {"image": "a"}, **more}


def test_a_pasted_list_works():
    everything = offer(parse_profiles(PASTED), ["physics"])
    assert [p.slug for p in everything.profiles] == ["training-python", "donnees-gpu"]
    choice = parse({}, everything)
    assert (choice.image, choice.memory, choice.cpus) == ("training/tf:1", 512 * 2**20, 1.0)
    assert choice.overrides == {"environment": {"B": "b", "TF": "1"}}
    assert parse({"profile": "donnees-gpu"}, everything).overrides == {"cmd": ["start"]}


def test_a_mapping_of_profiles_works_too():
    profiles = parse_profiles({"b": {"display_name": "B"}, "a": {"display_name": "A"}})
    assert [p.slug for p in profiles] == ["a", "b"]


def test_kubernetes_own_keys_are_named():
    assert ignored_keys(PASTED) == ("extra_resource_limits", "node_selector", "tolerations")


def test_a_typed_choice_of_a_pasted_list():
    everything = offer(parse_profiles(PASTED), [])
    assert parse({"image--unlisted-choice": "training/mine:1"}, everything).image == "training/mine:1"
    for wrong in ("training/mine:1 --privileged", "other/training/x", "xtraining/y"):
        with pytest.raises(UserError):
            parse({"image--unlisted-choice": wrong}, everything)


def test_one_option_is_chosen_or_typed_but_not_both():
    with pytest.raises(UserError, match="Give either image or image--unlisted-choice"):
        parse({"image": "tf", "image--unlisted-choice": "training/x"}, offer(parse_profiles(PASTED), []))


def test_null_takes_a_limit_back_to_the_spawners_own():
    choices = {"none": {"kubespawner_override": {"mem_limit": None}}, "some": {}}
    profile = _entry(spawner_override={"mem_limit": "1G"}, profile_options={"memory": {"choices": choices}})
    everything = offer(parse_profiles([profile]), [])
    assert parse({}, everything).memory is None
    assert parse({"memory": "some"}, everything).memory == 2**30


def test_a_typed_number_is_checked_like_an_offered_one():
    free = {"enabled": True, "kubespawner_override": {"mem_limit": "{value}", "environment": {"M": "<{value}>{other}"}}}
    profiles = parse_profiles([_entry(profile_options={"memory": {"display_name": "Memory", "unlisted_choice": free}})])
    choice = parse({"memory--unlisted-choice": "3G"}, offer(profiles, []))
    assert choice.memory == 3 * 2**30
    assert choice.overrides == {"environment": {"M": "<3G>{other}"}}
    with pytest.raises(UserError, match="a size such as 8G"):
        parse({"memory--unlisted-choice": "lots"}, offer(profiles, []))
    with pytest.raises(UserError, match="is needed"):
        parse({}, offer(profiles, []))


def test_choosing_leaves_the_profiles_as_they_were():
    profiles = parse_profiles(PASTED)
    before = copy.deepcopy(profiles)
    choice = parse({"image": "tf"}, offer(profiles, []))
    choice.overrides["environment"]["B"] = "changed"
    assert profiles == before


def test_groups_limit_profiles_choices_and_texts():
    choices = {"s": {"display_name": "S"}, "l": {"display_name": "L", "allowed_groups": ["big"]}}
    typed = {"enabled": True, "groups": ["typers"], "kubespawner_override": {"mem_limit": "{value}"}}
    profiles = parse_profiles([_entry(profile_options={"memory": {"choices": choices, "unlisted_choice": typed}})])
    with pytest.raises(UserError, match="Choose one of: s"):
        parse({"memory": "l"}, offer(profiles, ["typers"]))
    with pytest.raises(UserError, match="has no option memory--unlisted-choice"):
        parse({"memory--unlisted-choice": "9G"}, offer(profiles, ["big"]))


def test_a_profile_whose_limits_are_not_for_me_is_not_for_me():
    only = {"memory": {"choices": {"l": {"allowed_groups": ["big"], "kubespawner_override": {"mem_limit": "9G"}}}}}
    assert offer(parse_profiles([_entry(profile_options=only)]), ["small"]).profiles == ()


def test_an_empty_list_of_groups_is_nobody():
    assert offer(parse_profiles([_entry(groups=[])]), ["a"]).profiles == ()


def test_the_default_is_the_first_that_is_offered():
    profiles = parse_profiles([_entry(slug="x"), _entry(slug="y", default=True, groups=["g"])])
    assert parse({}, offer(profiles, ["g"])).profile == "y"
    assert parse({}, offer(profiles, [])).profile == "x"


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("text", "profile_list[0]: is a mapping"),
        ({}, "profile_list[0].display_name: is missing"),
        (_entry(grops=["a"]), "profile_list[0]: grops is not known"),
        (_entry(groups="ml"), "profile_list[0].groups: is a list"),
        (_entry(slug="a--b"), "profile_list[0].slug: 'a--b'"),
        (_entry(slug="../x"), "profile_list[0].slug: '../x'"),
        (_entry(spawner_override={"mem_limt": "1G"}), "Did you mean mem_limit?"),
        (_entry(kubespawner_override={"mem_limit": "1 gig"}), "mem_limit is a size such as 8G, not '1 gig'"),
        (_entry(kubespawner_override={"mem_limit": "0"}), "mem_limit is a size"),
        (_entry(kubespawner_override={"cpu_limit": "nan"}), "cpu_limit is a number of CPUs"),
        (_entry(kubespawner_override={"cpu_limit": [1]}), "cpu_limit is a number of CPUs"),
        (_entry(kubespawner_override={"image": "No Image"}), "image is an image reference"),
        (_entry(kubespawner_override={"environment": lambda spawner: {}}), "environment is a function"),
        (_entry(kubespawner_override={"mem_limit": "{value}"}), "mem_limit is a size"),
        (_entry(kubespawner_override=["image"]), "kubespawner_override: is a mapping"),
        (_entry(profile_options={"memory": {}}), "profile_options.memory: offers nothing"),
        (_entry(profile_options={"memory": {"unlisted_choice": {"enabled": False}}}), "offers nothing"),
        (_entry(profile_options={"memory": {"choices": {"a": "b"}}}), "choices.a: is a mapping"),
        (_entry(profile_options={"profile": {"choices": {"a": {}}}}), "cannot be called profile"),
        (_entry(profile_options={"gpus": {"choices": {"a": {}}}}), "cannot be called gpus"),
        (_entry(gpus="no"), "gpus: is true or false"),
        (_entry(profile_options={"x": {"unlisted_choice": {"enabled": True, "validation_regex": "("}}}), "regular"),
    ],
)
def test_a_broken_list_is_refused_by_path(profile, said):
    with pytest.raises(OperatorError) as refused:
        parse_profiles([profile])
    assert said in str(refused.value)


def test_naming_kubernetes_keys_survives_a_broken_list():
    assert ignored_keys([_entry(profile_options=["x"]), _entry(profile_options={"a": 1, "b": {"choices": [1]}})]) == ()


def test_a_slug_is_there_once():
    with pytest.raises(OperatorError, match="the slug a is there twice"):
        parse_profiles([_entry(), _entry()])


@pytest.mark.parametrize("broken", ["text", 7, None])
def test_what_is_no_list_is_refused(broken):
    with pytest.raises(OperatorError, match="is a list of profiles"):
        parse_profiles(broken)


def test_images_on_the_host_become_profiles():
    settings = Settings(images=[{"slug": "lab", "title": "Lab", "image": "team/lab:1"}])
    found = ["team/lab:1", "team/b:2", "team/a:1", "other/c:1", "<none>:<none>", "team/B b"]
    profiles = parse_profiles(profile_list_of(settings) + host_profiles(["team/*"], found, settings))
    assert [p.title for p in profiles] == ["Lab", "team/a:1", "team/b:2"]
    assert parse({"profile": profiles[1].slug, "memory": "4G"}, offer(profiles, [])).image == "team/a:1"


def test_images_that_read_the_same_have_slugs_of_their_own():
    sizes = SimpleNamespace(images=(), sizes=SimpleNamespace(memory=("1G",), cpus=("1",)))
    slugs = [p["slug"] for p in host_profiles(["*"], ["a/b:1", "a-b:1", "a.b:1"], sizes)]
    assert len(set(slugs)) == 3


@pytest.mark.parametrize(
    "reference",
    ["debian", "debian:13", "mlinfn/lab:0.1.0", "localhost:5000/a/b_c", "ghcr.io/a/b-c__d:tag",
     "harbor.cloud.infn.it/x/y@sha256:" + "a" * 64, "a/b:1@sha256:" + "0" * 64],
)  # fmt: skip
def test_references_that_docker_takes(reference):
    assert is_image_reference(reference)


@pytest.mark.parametrize(
    "reference",
    ["", "Debian", "a b", "a:b:c", "/a", "a/", "a//b", "-a", "a:-b", "a@sha256:1", "../a", "a\n", "f" * 64, "a" * 300,
     "http://a/b", "a;b", "$(a)", "ä"],
)  # fmt: skip
def test_references_that_docker_does_not_take(reference):
    assert not is_image_reference(reference)
