"""The example and the reference page say what the models say."""

import re

from ruamel.yaml import YAML
from support import access
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli.images import MORE
from jupyterhub_mlinfn.cli.reference import settings_page
from jupyterhub_mlinfn.settings import Settings, load

EXAMPLE = CHECKOUT / "config" / "mlinfn.yaml"
COMMENTED = re.compile(r"#(?=\w|  +\w)")
"""The mark before a key that shows its default. Prose has one space behind it, the long image five."""


def with_defaults_shown():
    """The example's data as if no key were commented out."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#     ")]
    return YAML(typ="safe").load("\n".join(COMMENTED.sub("", line) if line[:1] == "#" else line for line in lines))


def long_example():
    """The commented images, without the remarks beside their keys; the last one is long."""
    lines = [line[5:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#     ")]
    return YAML(typ="safe").load("\n".join(re.sub(r"(?<=\S) {3,}[a-z].*", "", line) for line in lines))


def test_the_example_is_right():
    assert [image.slug for image in load(EXAMPLE).images] == ["lab"]


def test_commented_keys_show_their_defaults():
    shown = Settings.model_validate(with_defaults_shown())
    assert shown == Settings(images=shown.images, login="demo")  # without `login`, a site goes on as it was


def test_every_key_is_in_the_example():
    data = with_defaults_shown()
    for name, field in Settings.model_fields.items():
        assert name in data
        if hasattr(field.annotation, "model_fields"):
            assert list(data[name]) == list(field.annotation.model_fields), name


def test_the_long_image_is_right_and_has_every_key():
    *_, image = long_example()
    read = Settings.model_validate({"images": [image], "cvmfs": {"repositories": image["cvmfs"]}}).images[0]
    assert set(image) | {"description"} == set(type(read).model_fields)


def test_the_example_has_the_lines_that_keepers_are_told_to_add():
    *others, _ = long_example()
    told = [YAML(typ="safe").load(text) for text in MORE.values()]
    assert others == [image for each in told for image in each.get("images", ())]


def test_the_reference_page_is_up_to_date():
    page = (CHECKOUT / "docs" / "reference" / "settings.md").read_text()
    assert page == settings_page(Settings), "run: mlinfn config schema --markdown > docs/reference/settings.md"


def test_every_key_has_a_description():
    undescribed = re.findall(r"^\| `(\w+)` \|\s+\|", settings_page(Settings), re.MULTILINE)
    assert undescribed == []


def test_the_table_of_rights_is_that_of_the_tests():
    page = access.PAGE.read_text()
    assert page == access.with_table(page), "run, in tests/: python -m support.access"
