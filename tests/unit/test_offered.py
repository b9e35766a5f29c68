"""What `mlinfn images` works on: the images of the settings, ours and others."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn import __version__
from jupyterhub_mlinfn.cli import checks
from jupyterhub_mlinfn.cli.images import MORE
from jupyterhub_mlinfn.cli.offered import Offered, buildable, references, to_build, to_pull
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.settings import Settings

PASTED = {
    "display_name": "Two", "slug": "two", "kubespawner_override": {"image": "r.example.org/x/one"},
    "profile_options": {
        "kind": {"choices": {"a": {"kubespawner_override": {"image": "r.example.org/x/other:2"}}, "b": {}}}},
}  # fmt: skip


def settings(*images: str, **more) -> Settings:
    """Settings that offer these images as img0, img1 and so on."""
    listed = [{"slug": f"img{n}", "title": "T", "image": image} for n, image in enumerate(images)]
    return Settings(images=listed, **more)


def test_every_image_that_a_member_can_pick_is_found_once_with_its_tag():
    found = references(settings("mlinfn/lab", "r.example.org/x/one", profile_list=[PASTED]))
    assert found == {f"mlinfn/lab:{__version__}": ("img0",), "r.example.org/x/one:latest": ("img1", "two"),
                     "r.example.org/x/other:2": ("two",)}  # fmt: skip


def test_typed_images_are_not_among_them():
    assert references(settings("a/b:1", unlisted_images={"groups": ["g"], "pattern": ".+"})) == {"a/b:1": ("img0",)}


def test_images_on_the_host_that_match_are_offered_too():
    found = references(settings("a/b:1", host_images=["team/*"]), ["team/x:1", "other/y:1"])
    assert list(found) == ["a/b:1", "team/x:1"]


def test_the_image_of_rooms_is_among_them():
    here = settings("mlinfn/lab", groups=["cms", "ml"], rooms="each-group")
    assert references(here)[f"mlinfn/collab:{__version__}"] == ("room-cms", "room-ml")
    assert to_build(here, [], None) == {"cuda": ["lab", "collab"]}


def test_only_images_of_others_are_pulled():
    here = settings("mlinfn/lab", "r.example.org/x/one", "a/b:1")
    assert to_pull(here, []) == ["r.example.org/x/one:latest", "a/b:1"]
    assert to_pull(here, ["a/b:1"]) == ["a/b:1"]


@pytest.mark.parametrize(("name", "words"), [("mlinfn/lab", "built here"), ("a/c", "not offered")])
def test_pulling_anything_else_is_refused(name, words):
    with pytest.raises(UserError, match=words):
        to_pull(settings("a/b:1"), [name])


def test_offered_images_of_ours_are_built_with_the_pytorch_of_their_tag():
    without = f"mlinfn/lab-ml:{__version__}-no-torch"
    assert to_build(settings("mlinfn/lab", "a/b:1"), [], None) == {"cuda": ["lab"]}
    assert to_build(settings("mlinfn/lab", without), [], None) == {"cuda": ["lab"], "none": ["lab-ml"]}
    assert to_build(settings("a/b:1", without), ["lab-ml"], None) == {"none": ["lab-ml"]}
    assert to_build(settings("a/b:1"), ["lab-ml"], None) == {"cuda": ["lab-ml"]}
    assert to_build(settings("a/b:1"), ["lab-ml"], "none") == {"none": ["lab-ml"]}
    assert to_build(settings("a/b:1"), [], None) == {}


@pytest.mark.parametrize(
    ("image", "named"), [("a/b:1", ["lab-nl"]), ("mlinfn/nothing", []), ("mlinfn/lab:0.0.1", [])],
    ids=["no such name", "no such image", "tag of another version"],
)  # fmt: skip
def test_what_is_not_in_this_checkout_is_not_built(image, named):
    with pytest.raises(UserError):
        to_build(settings(image), named, None)


def test_the_labs_that_are_suggested_can_be_built():
    assert set(MORE) < set(buildable())


def test_an_image_says_what_it_is():
    found = {"Size": 5, "Created": "2026-11-24T10:00:00Z", "Config": {"Labels": None}}
    assert Offered("a/b:1", ("x",), found).as_data() == {
        "image": "a/b:1", "slugs": ["x"], "ours": False, "here": True, "size": 5, "created": "2026-11-24T10:00:00Z",
        "version": None,
    }  # fmt: skip
    assert Offered("mlinfn/lab:1", ("x",)).as_data()["here"] is False


def test_both_ways_to_missing_images_are_said():
    assert checks._images_remedy(["mlinfn/lab:1", "a/b:1"]) == "sudo mlinfn images build; sudo mlinfn images pull"
