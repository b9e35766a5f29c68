"""References and progress of images."""

from __future__ import annotations

import pytest
from docker.errors import DockerException

from jupyterhub_mlinfn.images import Images, Layers, refusal, split
from jupyterhub_mlinfn.references import with_tag


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("a/b:1", ("a/b", "1")),
        ("a", ("a", "latest")),
        ("host:5000/a/b", ("host:5000/a/b", "latest")),
        ("a@sha256:0", ("a", "sha256:0")),
    ],
    ids=["tag", "bare", "port", "digest"],
)
def test_a_reference_is_split(image, parts):
    assert split(image) == parts


def test_only_our_own_images_get_our_version():
    assert with_tag("mlinfn/lab", "1.0") == "mlinfn/lab:1.0"
    assert with_tag("other/lab", "1.0") == "other/lab:latest"
    assert with_tag("mlinfn/lab:x", "1.0") == "mlinfn/lab:x"


def test_progress_adds_layers_and_never_runs_backwards():
    layers = Layers()
    first = layers.add({"id": "a", "status": "Downloading", "progressDetail": {"current": 50, "total": 100}})
    assert (first.percent, first.done, first.total) == (37, 50, 100)
    second = layers.add({"id": "b", "status": "Downloading", "progressDetail": {"current": 0, "total": 900}})
    assert (second.percent, second.total) == (37, 1000)
    layers.add({"id": "a", "status": "Pull complete"})
    assert layers.add({"id": "b", "status": "Pull complete"}).percent == 99


@pytest.mark.parametrize(
    ("answer", "words"),
    [("manifest unknown", "Check its name"), ("pull access denied", "does not have it"), ("dial tcp", "not answer")],
)
def test_a_refusal_says_why(answer, words):
    assert words in str(refusal("x:1", answer))


async def test_a_pull_in_vain_is_told_with_how_long_it_took():
    ended = []
    images = Images(ended=lambda *told: ended.append(told), base_url="tcp://127.0.0.1:9")
    with pytest.raises(DockerException):
        await images._joined("registry.example.org/a:1", 5).task
    [(is_well, took_s)] = ended
    assert not is_well
    assert 0 <= took_s < 5
