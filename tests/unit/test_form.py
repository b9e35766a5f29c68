"""The picker's HTML: what is shown as chosen, and that nothing in it is ever markup."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn import gpus
from jupyterhub_mlinfn.form import PrefillOnly, linked, refuse_query, render
from jupyterhub_mlinfn.gpus.offer import picks, shown
from jupyterhub_mlinfn.options import Offer, from_form, offer, parse, parse_profiles, profile_list_of, with_gpus
from jupyterhub_mlinfn.settings import GPUs, Settings

IMAGES = [
    {"slug": "lab", "title": "JupyterLab", "image": "mlinfn/lab", "tags": ["CPU"], "description": "Python"},
    {"slug": "lab-ml", "title": "ML", "image": "mlinfn/lab-ml", "icon": "µ", "memory": ["8G", "16G"]},
]
SETTINGS = Settings(images=IMAGES, unlisted_images={"groups": ["keepers"], "pattern": r"docker\.io/.+"})
KEEPER = offer(parse_profiles(profile_list_of(SETTINGS)), ["keepers"])
REFERENCE = "image--unlisted-choice"


def drawn(offered=KEEPER, last=None, query=None, contact=""):
    """The parsed form."""
    return BeautifulSoup(render(offered, last or {}, query or {}, contact), "html.parser")


def submitted(soup: BeautifulSoup) -> dict[str, list[str]]:
    """The fields that a browser without JavaScript sends if Start is pressed at once."""
    fields: dict[str, list[str]] = {}
    for field in soup.find_all("input"):
        if field["type"] == "text" or field.has_attr("checked"):
            fields.setdefault(field["name"], []).append(field.get("value", "on"))
    return fields


def chosen(soup: BeautifulSoup) -> dict[str, str]:
    """The plain keys that pressing Start at once would choose."""
    return dict(parse(from_form(submitted(soup)), KEEPER).words)


def test_what_is_wrong_is_on_the_card_and_above_all():
    first, *others = KEEPER.profiles
    offered = Offer((replace(first, notes=("It needs <sft>.",)), *others), ("CVMFS: <sft> does not answer.",))
    soup = drawn(offered)
    card = soup.find(class_="picker-card")
    assert [each.text for each in soup.find_all(class_="picker-trouble")] == [
        "CVMFS: <sft> does not answer.", "It needs <sft>."]  # fmt: skip
    assert card.find(class_="picker-trouble").text == "It needs <sft>."
    assert chosen(soup) == chosen(drawn())


def test_the_form_as_drawn_is_the_default_choice():
    assert chosen(drawn()) == {"profile": "lab", "memory": "2G", "cpus": "1"}


def test_the_last_choice_is_preselected():
    last = {"profile": "lab-ml", "memory": "16G", "cpus": "4"}
    assert chosen(drawn(last=last)) == last


def test_a_typed_image_of_last_time_is_there_again():
    last = {"profile": "unlisted", REFERENCE: "docker.io/library/debian:13", "memory": "4G", "cpus": "2"}
    assert chosen(drawn(last=last)) == last


@pytest.mark.parametrize(
    "last", [{"profile": "gone", "memory": "900G"}, {"profile": ["lab"], "memory": {"a": 1}, "cpus": None}]
)
def test_a_last_choice_that_is_gone_leaves_the_default(last):
    assert chosen(drawn(last=last)) == {"profile": "lab", "memory": "2G", "cpus": "1"}


def test_a_link_fills_in_and_says_so():
    soup = drawn(query={"profile": ["lab-ml"], "memory": ["16G"]}, last={"profile": "lab", "cpus": "2"})
    assert chosen(soup) == {"profile": "lab-ml", "memory": "16G", "cpus": "2"}
    assert "Nothing starts until you press Start" in soup.find(class_="picker-note").text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"profile": ["nosuch"]}, "asks for the image nosuch"),
        ({"memory": ["900G"]}, "asks for memory 900G, which JupyterLab does not offer"),
        ({"what": ["ever"]}, "asks for what ever"),
        ({"profile": ["unlisted"], REFERENCE: ["docker.io/library/debian"]}, "cannot carry a typed text"),
        ({"memory": ["x" * 10000]}, "x…"),
        ({"memory": []}, ""),
    ],
)
def test_what_a_link_does_not_get_is_said(query, said):
    soup = drawn(query=query)
    assert said in soup.find(class_="picker-note").text
    assert soup.find("input", attrs={"name": f"profile-option-unlisted--{REFERENCE}"})["value"] == ""
    assert len(str(soup)) < 20000


def test_titles_and_wishes_are_text():
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    images = [{"slug": "a", "title": hostile, "description": hostile, "image": "a", "tags": [hostile], "icon": "<b>"}]
    offered = offer(parse_profiles(profile_list_of(Settings(images=images))), [])
    soup = drawn(offered, query={"memory": [hostile], hostile: [hostile]}, contact=hostile)
    assert not soup.find_all(["script", "img"])
    assert soup.find(class_="picker-title").text == hostile


def test_every_radio_has_a_label_and_an_id_of_its_own():
    soup = drawn()
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for radio in soup.find_all("input", type="radio"):
        label = radio.find_parent("label") or soup.find("label", attrs={"for": radio["id"]})
        assert label.text.strip()


@pytest.mark.parametrize(
    ("contact", "href"),
    [("help@example.org", "mailto:help@example.org"), ("https://example.org/help", "https://example.org/help"),
     ("javascript:alert(1)", None), ("javascript:alert@x", None), ("Anna, room 7", None), ("", None)],
)  # fmt: skip
def test_nothing_offered_names_whom_to_ask(contact, href):
    soup = drawn(Offer(), contact=contact)
    link = soup.find("a")
    assert (link and link["href"]) == href
    assert contact in soup.text
    assert "No image is offered to you" in soup.text


CARDS = [gpus.Device(f"GPU-{n}", "NVIDIA H200", 141 * 2**30, n) for n in range(2)]
CLASSES = gpus.classes_of(CARDS, GPUs(names={"h200": "<script>H200</script>"}))
LIMITS = gpus.limits_of([], GPUs())
LENDS = offer(with_gpus(parse_profiles(profile_list_of(SETTINGS)), picks(CLASSES, LIMITS)), [])


def drawn_with_gpus(last=None, query=None):
    """The form of a machine with two GPUs of one class, and the GPUs that it chooses."""
    html = render(LENDS, last or {}, query or {}, "", shown(CLASSES, LIMITS, {}, wait="1h"))
    soup = BeautifulSoup(html, "html.parser")
    return soup, parse(from_form(submitted(soup)), LENDS).gpus


@pytest.mark.parametrize(
    ("last", "query", "chosen"),
    [({}, {}, "0"), ({"profile": "lab", "gpus": "h200:2"}, {}, "h200:2"),
     ({"profile": "lab", "gpus": "2"}, {}, "h200:2"),
     ({"profile": "lab", "gpus": "a100:1"}, {}, "0"), ({"profile": "lab-ml", "gpus": "1"}, {"profile": ["lab"]}, "0"),
     ({}, {"gpus": ["1"]}, "h200:1"), ({}, {"gpus": ["h200:1"]}, "h200:1"), ({}, {"gpus": ["9"]}, "0")],
)  # fmt: skip
def test_gpus_are_remembered_on_their_card_and_filled_in_by_links(last, query, chosen):
    assert drawn_with_gpus(last, query)[1] == chosen


def test_gpus_are_drawn_with_their_wait_and_names_as_text():
    soup, _ = drawn_with_gpus()
    assert "at most 1 hour." in soup.text
    assert soup.find(class_="gpu-title").text == "<script>H200</script>"
    assert [script.text.strip()[:2] for script in soup.find_all("script")] == ["//"]


def _handler(method, **arguments):
    request = SimpleNamespace(method=method, query_arguments={k: [v.encode()] for k, v in arguments.items()})
    return SimpleNamespace(request=request)


def test_only_prefixed_words_of_a_get_are_wishes():
    wishes = {"opt-memory": "4G", "next": "/x", "memory": "8G"}
    assert linked(_handler("GET", **wishes)) == {"memory": ["4G"]}
    assert linked(_handler("POST", **wishes)) == {}
    assert linked(None) == {}


def test_refusing_a_link_is_not_logged_as_an_error(caplog):
    log = logging.getLogger("picker-test")
    for _ in range(2):
        with pytest.raises(PrefillOnly) as refusal:
            refuse_query(log)
        log.error("Failed to spawn", exc_info=refusal.value)
    assert refusal.value.jupyterhub_message == ""
    log.error("another")
    assert [record.message for record in caplog.records] == ["another"]
    assert len(log.filters) == 1


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.none() | st.integers(), max_size=4),
    st.dictionaries(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=2), max_size=4),
)
def test_any_past_and_any_link_make_a_form_that_can_be_sent(last, query):
    chosen(drawn(last=last, query=query))
