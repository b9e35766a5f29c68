"""How many GPUs who may have, what a container is given, and how long a place in line is kept."""

from __future__ import annotations

import sqlite3

import pytest

from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.gpus import NOTHING, Device, Holder, Lease, Request, Tickets, classes_of, giving, parse
from jupyterhub_mlinfn.gpus.policy import Limits, check, limits_of, most
from jupyterhub_mlinfn.gpus.tickets import BETWEEN_SIGNS_S, KEPT_S
from jupyterhub_mlinfn.settings import GPUs

A100 = "NVIDIA A100-SXM4-80GB"
CARDS = tuple(Device(f"GPU-a{n}", A100, 80 * 2**30, n, nodes=(f"/dev/nvidia{n}",)) for n in range(3))
SMALL = tuple(Device(f"GPU-t{n}", "Tesla T4", 15 * 2**30, n) for n in (4, 5))
SLICES = (Device("MIG-0", A100, 10 * 2**30, 3, "1g.10gb", "GPU-a3", number=0, nodes=("/dev/nvidia3",)),)
CLASSES = classes_of((*CARDS, *SMALL, *SLICES), GPUs())
SITE = GPUs(per_server=2, per_person=3, classes={"a100-sxm4-80gb": 2}, groups={
    "many": {"per_server": 4, "per_person": 5, "total": 6}, "more": {"per_person": 8, "classes": {"a100-sxm4-80gb": 3}},
    "few": {"per_person": 1, "total": 2},
})  # fmt: skip


@pytest.mark.parametrize(("groups", "limits"), [
    ([], Limits(2, 3, {"a100-sxm4-80gb": 2}, {})), (["other"], Limits(2, 3, {"a100-sxm4-80gb": 2}, {})),
    (["many"], Limits(4, 5, {"a100-sxm4-80gb": 2}, {"many": 6})),
    (["few"], Limits(2, 1, {"a100-sxm4-80gb": 2}, {"few": 2})),
    (["few", "more", "many"], Limits(4, 8, {"a100-sxm4-80gb": 3}, {"few": 2, "many": 6})),
])  # fmt: skip
def test_limits_are_the_highest_of_a_members_groups(groups, limits):
    assert limits_of(groups, SITE) == limits


def test_most_that_may_be_named():
    limits = limits_of([], SITE)
    assert most(None, limits) == 2
    assert [most(each, Limits(9, 9, {"t4": 1})) for each in CLASSES] == [9, 1, 9]
    assert most(None, limits_of(["few"], SITE)) == 1


@pytest.mark.parametrize(("words", "held", "limits", "said"), [
    ("3", (), Limits(2, 3), "3 GPUs are more than one lab may have. You may ask for up to 2."),
    ("2", ("GPU-a0", "GPU-t4"), Limits(2, 3), "You hold 2 GPUs and may hold 3 in all. Ask for up to 1, or stop"),
    ("1", ("MIG-0",), Limits(2, 1), "You hold 1 GPUs and may hold 1 in all. Ask for up to 0, or stop"),
    ("1", (), Limits(0, 0), "1 GPUs are more than one lab may have. You may ask for up to 0."),
    ("t4:2", (), Limits(2, 2, {"t4": 1}), "gpus t4:2 is more than you may have of that kind. You may have: 2 of a100"),
    ("t4:1", ("GPU-t5",), Limits(2, 2, {"t4": 1}), "gpus t4:1 is more than you may have of that kind."),
    ("t4:1", (), Limits(2, 2, {"t4": 0, "a100-sxm4-80gb": 0, "a100-1g.10gb": 0}), "of that kind. You may have: none."),
])  # fmt: skip
def test_what_is_over_a_limit_is_refused_with_what_is_allowed(words, held, limits, said):
    with pytest.raises(UserError) as caught:
        check(parse(words, CLASSES), [Holder("c", held, 1, "anna")], limits, CLASSES)
    assert said in str(caught.value)
    assert caught.value.reason == "gpu_limit"


@pytest.mark.parametrize(("words", "held", "limits"), [
    ("2", (), Limits(2, 2)), ("1", ("GPU-a0",), Limits(2, 2)), ("1", ("GPU-t4",), Limits(2, 2, {"t4": 1})),
    ("t4:1", ("GPU-a0",), Limits(2, 2, {"t4": 1})),
])  # fmt: skip
def test_what_is_within_the_limits_is_allowed(words, held, limits):
    check(parse(words, CLASSES), [Holder("c", held, 1, "anna")], limits, CLASSES)


def test_more_than_a_whole_group_may_have_is_never_offered():
    limits = Limits(4, 4, totals={"few": 2, "many": 6})
    assert most(None, limits) == 2
    check(Request(2), (), limits, CLASSES)
    with pytest.raises(UserError, match=r"3 GPUs are more than one lab may have\. You may ask for up to 2"):
        check(Request(3), (), limits, CLASSES)


def test_what_somebody_waits_for_with_another_server_counts():
    limits, held = Limits(2, 3), [Holder("c", ("GPU-a0",), 1, "anna")]
    check(Request(1), held, limits, CLASSES, asked=1)
    with pytest.raises(UserError, match=r"You hold 1 GPUs, wait for 1 more and may hold 3 in all\. Ask for up to 1"):
        check(Request(2), held, limits, CLASSES, asked=1)


def lease(*devices: Device) -> Lease:
    """These devices, lent."""
    return Lease(devices, CLASSES[0])


KNOWN = Device("GPU-a0", A100, 0, 0, cdi="nvidia.com/gpu=0", nodes=("/dev/nvidia0", "/dev/dri/renderD128"))


RIGHTS = "/dev/nvidia-caps/nvidia-cap"
CUT = Device("MIG-1", A100, 0, 3, "1g.10gb", nodes=("/dev/nvidia3", f"{RIGHTS}30", f"{RIGHTS}31"))


@pytest.mark.parametrize(("given", "driver", "way"), [
    (lease(KNOWN), "auto", "cdi"), (lease(KNOWN, CARDS[1]), "auto", "nvidia"), (lease(CARDS[0]), "auto", "nvidia"),
    (lease(KNOWN), "nvidia", "nvidia"), (lease(KNOWN), "cdi", "cdi"), (NOTHING, "auto", "none"),
    (NOTHING, "nvidia", "none"),
])  # fmt: skip
def test_one_switch_says_how_devices_are_given(given, driver, way):
    assert giving.way(given, driver) == way
    assert giving.way(given, driver, is_simulated=True) == "none"


def test_devices_are_given_by_id_and_never_by_count():
    two = lease(KNOWN, CARDS[1])
    by_cdi, by_id = giving.device_requests(lease(KNOWN), "cdi"), giving.device_requests(two, "nvidia")
    assert [(dict(each)["Driver"], each["DeviceIDs"], each["Count"]) for each in (*by_cdi, *by_id)] == [
        ("cdi", ["nvidia.com/gpu=0"], 0), ("nvidia", ["GPU-a0", "GPU-a1"], 0),
    ]  # fmt: skip
    assert giving.device_requests(NOTHING, "none") == []


@pytest.mark.parametrize(("given", "way", "ids", "visible"), [
    (lease(KNOWN), "cdi", "GPU-a0", "void"), (lease(*CARDS[:2]), "nvidia", "GPU-a0,GPU-a1", "GPU-a0,GPU-a1"),
    (NOTHING, "none", "", "void"), (lease(KNOWN), "none", "", "void"),
])  # fmt: skip
def test_labs_are_told_what_they_have(given, way, ids, visible):
    assert giving.environment(given, way) == {"MLINFN_GPUS": ids, "NVIDIA_VISIBLE_DEVICES": visible}
    held = ",".join(given.uuids)
    assert giving.labels(given, "x.") == ({"x.gpus": held, "x.slots": "1"} if held else {})


@pytest.mark.parametrize(("given", "seen", "said"), [
    (lease(KNOWN), ["/dev/null", "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"], ""),
    (lease(KNOWN), ["/dev/nvidia0", "/dev/nvidia1"], "It sees /dev/nvidia1, which it was not lent."),
    (lease(KNOWN), [], "It does not see /dev/nvidia0, which it was lent."),
    (lease(KNOWN), ["/dev/nvidia10"], "It sees /dev/nvidia10, which it was not lent and does not see /dev/nvidia0, "),
    (NOTHING, [], ""), (NOTHING, ["/dev/nvidia0"], "It sees /dev/nvidia0, which it was not lent."),
    (lease(SLICES[0]), ["/dev/nvidia3"], ""), (lease(SMALL[0]), ["/dev/nvidia9"], ""),
    (lease(SLICES[0]), ["/dev/nvidia3", "/dev/nvidia-caps", f"{RIGHTS}7"], ""),  # nobody said which are its own
    (lease(CUT), ["/dev/nvidia3", "/dev/nvidia-caps", f"{RIGHTS}30", f"{RIGHTS}31"], ""),
    (lease(CUT), ["/dev/nvidia3", f"{RIGHTS}30", f"{RIGHTS}31", f"{RIGHTS}40"],
     f"It sees {RIGHTS}40, which it was not lent."),
    (lease(CUT), ["/dev/nvidia3", f"{RIGHTS}30", f"{RIGHTS}40"],
     f"It sees {RIGHTS}40, which it was not lent and does not see {RIGHTS}31, which it was lent."),
    (lease(KNOWN), ["/dev/nvidia0", f"{RIGHTS}40"], f"It sees {RIGHTS}40, which it was not lent."),
    (NOTHING, ["/dev/nvidia-caps", f"{RIGHTS}40"], f"It sees {RIGHTS}40, which it was not lent."),
])  # fmt: skip
def test_what_a_container_sees_is_compared_with_what_it_was_lent(given, seen, said):
    found = giving.difference(given, seen)
    assert found.startswith(said) if said else found == ""


ANNA, BERT = ("anna", ""), ("bert", "")
ONE = Request(1)
SLUGS = frozenset({"t4"})


@pytest.fixture(params=["memory", "file"])
def tickets(request, tmp_path):
    """The line's book, in memory or in a file that each use opens anew."""
    return Tickets(":memory:" if request.param == "memory" else tmp_path / "gpus.sqlite")


def number(book: Tickets, who=ANNA, asked: Request = ONE, now: float = 0) -> int:
    """The number of the place that they get."""
    return book.take(who, asked, SLUGS, now).number


def test_places_are_numbered_in_order_and_never_again(tickets):
    first, second = number(tickets), number(tickets, BERT)
    assert first < second
    tickets.leave(*BERT)
    assert number(tickets, BERT) > second
    assert number(tickets, ("anna", "other")) > number(tickets)


def test_place_knows_what_was_asked_for_and_since_when(tickets):
    asked = Request(2, "t4")
    tickets.take(ANNA, asked, SLUGS, 100)
    again = tickets.take(ANNA, asked, SLUGS, 200)
    assert (again.user, again.server, again.request, again.since, again.slugs) == ("anna", "", asked, 100, SLUGS)


@pytest.mark.parametrize("asked", [Request(2), Request(1, "t4")])
def test_who_asks_for_something_else_goes_to_the_end(tickets, asked):
    mine, theirs = number(tickets), number(tickets, BERT)
    assert number(tickets, asked=asked) > theirs > mine


def test_place_is_kept_for_a_quarter_of_an_hour_after_the_last_sign(tickets):
    mine = number(tickets)
    heard_before_s = 3 * BETWEEN_SIGNS_S  # the last sign of who was there to the end
    assert number(tickets, now=heard_before_s + KEPT_S) == mine
    tickets.keep([mine], 2 * KEPT_S)
    assert number(tickets, now=3 * KEPT_S + heard_before_s) == mine
    assert number(tickets, now=4 * KEPT_S + 2 * heard_before_s + 1) > mine


def test_restart_of_the_hub_costs_nobody_their_place(tmp_path):
    book = tmp_path / "gpus.sqlite"
    mine, theirs = number(Tickets(book)), number(Tickets(book), BERT)
    assert (number(Tickets(book), BERT, now=60), number(Tickets(book), now=60)) == (theirs, mine)
    Tickets(book).leave(*ANNA)
    assert number(Tickets(book), now=61) > theirs


def test_book_that_cannot_be_used_is_named(tmp_path):
    broken = tmp_path / "gpus.sqlite"
    broken.write_text("not a book " * 100)
    for path in (broken, tmp_path / "nowhere" / "gpus.sqlite"):
        with pytest.raises(OperatorError, match=str(path)):
            number(Tickets(path))


def test_writer_that_dies_leaves_the_book_as_it_was(tmp_path):
    book = tmp_path / "gpus.sqlite"
    mine = number(Tickets(book))
    half = sqlite3.connect(book, isolation_level=None)
    half.execute("BEGIN IMMEDIATE")
    half.execute("DELETE FROM tickets")
    half.close()
    assert number(Tickets(book)) == mine
