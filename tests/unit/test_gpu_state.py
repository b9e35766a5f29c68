"""What people are told of the GPUs, and what they may pick: from made-up devices, holders and tickets."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn import gpus, options
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.gpus import Device, Holder, Limits, Request, View, Wait, classes_of, limits_of
from jupyterhub_mlinfn.gpus.line import Ticket, free_slots
from jupyterhub_mlinfn.gpus.offer import about, picks, shown
from jupyterhub_mlinfn.gpus.state import answer, by_slug, said, waiting_state
from jupyterhub_mlinfn.settings import GPUs, Settings

GIB = 2**30
CARDS = tuple(Device(f"GPU-a{n}", "NVIDIA A100-SXM4-80GB", 80 * GIB, n) for n in range(4))
BIG = (Device("GPU-h", "NVIDIA H200", 141 * GIB, 9),)
SMALL = tuple(Device(f"GPU-t{n}", "Tesla T4", 16 * GIB, n + 4) for n in range(2))
SLICES = tuple(Device(f"MIG-{n}", "NVIDIA A100-SXM4-80GB", 10 * GIB, 8, "1g.10gb", "GPU-a8") for n in range(3))
SITE = GPUs(share={"t4": 4}, per_server=2, per_person=3, groups={"keepers": {"classes": {"a100-sxm4-80gb": 1}}})
CLASSES = classes_of((*CARDS, *SMALL, *SLICES), SITE)
A100, T4, SLICE = "a100-sxm4-80gb", "t4", "a100-1g.10gb"
SINCE = 1795514400.0  # 2026-11-24 10:00 UTC
HOLDERS = (
    Holder("c1", ("GPU-a0", "GPU-a1"), 1, "anna", "", SINCE),
    Holder("c2", ("GPU-t0",), 1, "bob", "", SINCE + 60),
    Holder("c3", ("GPU-a2",), user=None, since=SINCE),
)
LINE = (
    Ticket(1, "carla", "", Request(2), SINCE, frozenset({A100})),
    Ticket(2, "dora", "", Request(1, A100), SINCE, frozenset({A100})),
)
VIEW = View(0, CLASSES, HOLDERS)
FREE = free_slots(CLASSES, HOLDERS)


def told(user="anna", **more):
    """The contract's answer for this person."""
    return answer(VIEW, FREE, LINE, user, **more)


def test_each_class_says_what_is_there_free_and_waited_for():
    assert told()["classes"] == [
        {"slug": A100, "title": "A100 80 GB", "memory": 80 * GIB, "kind": "whole", "total": 4, "free": 1, "slots": 4,
         "waiting": 2},
        {"slug": T4, "title": "T4 16 GB", "memory": 16 * GIB, "kind": "shared", "total": 2, "free": 7, "slots": 8,
         "waiting": 0},
        {"slug": SLICE, "title": "A100 slice 1g.10gb", "memory": 10 * GIB, "kind": "slice", "total": 3, "free": 3,
         "slots": 3, "waiting": 0},
    ]  # fmt: skip


def test_everybody_sees_what_they_hold_and_nobody_else():
    assert told("anna") == {
        "classes": told("bob")["classes"],
        "mine": [{"server": "", "gpus": ["GPU-a0", "GPU-a1"], "since": "2026-11-24T10:00:00Z"}],
    }
    assert told("nobody")["mine"] == []
    assert told("")["mine"] == []


def test_holders_are_for_admins_and_a_container_of_others_is_nobodys():
    assert told(with_holders=True)["holders"] == [
        {"user": "anna", "server": "", "gpus": ["GPU-a0", "GPU-a1"]},
        {"user": "bob", "server": "", "gpus": ["GPU-t0"]},
        {"user": None, "server": "", "gpus": ["GPU-a2"]},
    ]


@pytest.mark.parametrize(
    ("free", "slots", "waiting", "shared", "words"),
    [(1, 4, 2, False, "1 of 4 free, 2 waiting"), (4, 4, 0, False, "4 of 4 free"),
     (0, 4, 1, False, "none of 4 free, 1 waiting"), (7, 8, 0, True, "7 of 8 places free"),
     (0, 0, 3, False, "none of 0 free, 3 waiting")],
)  # fmt: skip
def test_words_of_a_class(free, slots, waiting, shared, words):
    assert said(free, slots, waiting, shared=shared) == words


def test_who_waits_is_told_the_place_and_names_only_where_the_site_shows_them():
    wait = Wait(3, ("A100 80 GB",), HOLDERS[::-1], since=SINCE)
    assert waiting_state(wait, show_holders=False) == {
        "position": 3, "titles": ["A100 80 GB"], "engine_away": False, "since": "2026-11-24T10:00:00Z", "holders": [],
    }  # fmt: skip
    since = "2026-11-24T10:00:00Z"
    assert waiting_state(wait, show_holders=True)["holders"] == [
        {"user": None, "since": since}, {"user": "anna", "since": since},
        {"user": "bob", "since": "2026-11-24T10:01:00Z"},
    ]  # fmt: skip
    assert waiting_state(Wait(0, (), (), engine_away=True), show_holders=True)["engine_away"]


def keys(classes=CLASSES, limits=None):
    """What may be asked for."""
    return [key for key, _ in picks(classes, limits or limits_of([], SITE))]


def test_picks_are_none_any_kind_and_each_class_up_to_the_limits():
    assert keys() == ["0", "1", "2", f"{A100}:1", f"{A100}:2", f"{T4}:1", f"{T4}:2", f"{SLICE}:1", f"{SLICE}:2"]
    assert keys(limits=limits_of(["keepers"], SITE))[:4] == ["0", "1", f"{A100}:1", f"{T4}:1"]
    assert keys(limits=Limits(9, 9))[-1] == f"{SLICE}:3"
    assert keys(classes_of(SLICES, SITE)) == ["0", f"{SLICE}:1", f"{SLICE}:2"]


@pytest.mark.parametrize("limits", [Limits(0, 2), Limits(2, 2, {A100: 0, T4: 0, SLICE: 0})])
def test_who_may_have_none_has_nothing_to_pick(limits):
    assert keys(limits=limits) == []
    assert keys(()) == []


def drawn(classes=CLASSES, limits=None, states=None):
    """What the form shows."""
    states = by_slug(told()["classes"]) if states is None else states
    return shown(classes, limits or limits_of([], SITE), states, wait="30m")


def test_the_form_has_a_row_for_each_class_and_its_state():
    a100, t4, part = drawn().rows
    assert (a100.state, t4.state, part.state) == ("1 of 4 free, 2 waiting", "7 of 8 places free", "3 of 3 free")
    assert a100.about == "A whole card, yours alone."
    assert t4.about == "Time-shared with up to 3 others; its memory is not kept apart."
    assert part.about == "10 GB of memory. A slice of a card, kept apart from its other slices."
    assert [pill.key for pill in t4.pills] == [f"{T4}:1", f"{T4}:2"]
    assert about(classes_of(SMALL, GPUs(share={"t4": 2}))[0]).count("1 other;")


def test_a_single_class_of_cards_is_any_kind():
    assert [pill.also for pill in drawn().rows[0].pills] == [("1",), ("2",)]
    classes = classes_of((*CARDS, *BIG), SITE)
    anything, h200, a100 = drawn(classes).rows
    assert (anything.slug, anything.about) == ("", "Whichever is free first: H200 141 GB or A100 80 GB.")
    assert [pill.key for pill in anything.pills] == ["1", "2"]
    assert [pill.key for pill in h200.pills] == ["h200:1"]
    assert not any(pill.also for row in (h200, a100) for pill in row.pills)


def test_every_pill_of_the_form_may_be_picked_and_every_pick_has_a_pill():
    for classes in (CLASSES, classes_of((*CARDS, *BIG, *SLICES), SITE), classes_of(SLICES, SITE)):
        pills = [pill for row in drawn(classes).rows for pill in row.pills]
        assert {"0", *(key for pill in pills for key in (pill.key, *pill.also))} == set(keys(classes))


def test_a_class_that_somebody_may_not_have_has_no_pills():
    a100, t4, part = drawn(limits=Limits(1, 1, {T4: 0})).rows
    assert (len(a100.pills), len(t4.pills), len(part.pills)) == (1, 0, 1)


def test_the_form_says_that_nobody_knows_what_is_free():
    form = drawn(states={})
    assert form.trouble.startswith("Docker does not answer")
    assert {row.state for row in form.rows} == {""}
    assert drawn((), states={}).trouble == ""


def test_busy_is_a_class_without_anything_free():
    full = free_slots(CLASSES, (*HOLDERS, Holder("c4", ("GPU-a3",), 1, "eva")))
    rows = drawn(states=by_slug(answer(VIEW, full, LINE, "")["classes"])).rows
    assert [row.is_busy for row in rows] == [True, False, False]


IMAGES = [{"slug": "lab", "title": "Lab", "image": "a"}, {"slug": "no", "title": "No GPU", "image": "b", "gpus": False}]


def offered(classes=CLASSES):
    """What a member may pick of two images on a machine with these GPUs."""
    profiles = options.parse_profiles(options.profile_list_of(Settings(images=IMAGES)))
    return options.offer(options.with_gpus(profiles, picks(classes, limits_of([], SITE))), [])


@pytest.mark.parametrize("asked", ["0", "2", 2, f"{T4}:2", f"{SLICE}:1"])
def test_gpus_that_are_offered_are_chosen(asked):
    choice = options.parse({"profile": "lab", "gpus": asked}, offered())
    assert choice.gpus == choice.words["gpus"] == str(asked)
    assert gpus.parse(choice.gpus, CLASSES).count == int(str(asked).rpartition(":")[2])


def test_no_gpu_is_the_default():
    assert options.parse({"profile": "lab"}, offered()).gpus == "0"


@pytest.mark.parametrize(
    "asked",
    ["-1", -1, "1e9", 1e9, "2.5", 2.5, "all", "h200:1", "3", f"{A100}:3", f"{A100}:0", f"{A100}:", ":1", "", " 1", "01",
     "1\n", True, None, ["1"], {"a": 1}, "9" * 400, 10**400, "GPU-a0", "<script>", "²", "\u0661"],
)  # fmt: skip
def test_gpus_that_are_not_offered_are_refused_with_what_is(asked):
    with pytest.raises(UserError) as refused:
        options.parse({"profile": "lab", "gpus": asked}, offered())
    assert f"Choose one of: {', '.join(keys())}." in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("profile", "classes", "said"),
    [("no", CLASSES, "No GPU is offered without: ask for 0."),
     ("lab", (), "There is none that you may have: ask for 0.")],
)  # fmt: skip
def test_where_no_gpu_is_offered_none_is_what_may_be_asked_for(profile, classes, said):
    assert options.parse({"profile": profile, "gpus": "0"}, offered(classes)).gpus == "0"
    with pytest.raises(UserError, match=said):
        options.parse({"profile": profile, "gpus": "1"}, offered(classes))
