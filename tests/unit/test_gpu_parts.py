"""The pure parts of lending: the classes of devices, the words of a request, and who is next in line."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.gpus import Device, Holder, Request, check, classes_of, line, parse, slug_of, unknown
from jupyterhub_mlinfn.gpus.devices import title_of
from jupyterhub_mlinfn.gpus.line import Ticket
from jupyterhub_mlinfn.gpus.quotas import Quotas
from jupyterhub_mlinfn.settings import GPUs

GIB = 2**30
A100, T4 = "NVIDIA A100-SXM4-80GB", "Tesla T4"
CARDS = tuple(Device(f"GPU-a{n}", A100, 80 * GIB, n, nodes=(f"/dev/nvidia{n}",)) for n in range(3))
SMALL = tuple(Device(f"GPU-t{n}", T4, 15 * GIB, n, nodes=(f"/dev/nvidia{n}",)) for n in (4, 5))
SLICES = tuple(Device(f"MIG-{n}", A100, 10 * GIB, 3, "1g.10gb", "GPU-a3", number=n) for n in range(2))
DEVICES = (*SLICES, *SMALL, *CARDS)
CLASSES = classes_of(DEVICES, GPUs())
SHARED = classes_of(DEVICES, GPUs(share={"t4": 4}))


@pytest.mark.parametrize(("model", "profile", "slug"), [
    (A100, "", "a100-sxm4-80gb"), (A100, "1g.10gb", "a100-1g.10gb"), (A100, "1g.10gb+me", "a100-1g.10gb-me"),
    (T4, "", "t4"), ("NVIDIA H100 80GB HBM3", "", "h100-80gb-hbm3"), ("NVIDIA H200", "1g.18gb", "h200-1g.18gb"),
    ("NVIDIA GeForce RTX 4090", "", "rtx-4090"), ("NVIDIA A100 80GB PCIe", "", "a100-80gb-pcie"),
    ("NVIDIA GPU", "", "gpu"), ("Quadro RTX 6000/8000", "", "rtx-6000-8000"), ("Simulated GPU", "", "simulated-gpu"),
])  # fmt: skip
def test_slugs_are_readable_and_fit_the_settings(model, profile, slug):
    assert slug_of(model, profile) == slug
    assert GPUs(names={slug: "A name"}).names == {slug: "A name"}


@pytest.mark.parametrize(("device", "title"), [
    (CARDS[0], "A100 80 GB"), (SLICES[0], "A100 slice 1g.10gb"), (SMALL[0], "T4 15 GB"),
    (Device("GPU-1", "NVIDIA H100 80GB HBM3", 81559 * 2**20), "H100 80 GB"),
    (Device("GPU-1", "NVIDIA GeForce RTX 4090", 24564 * 2**20), "RTX 4090 24 GB"),
    (Device("GPU-1", "NVIDIA GPU", 0), "GPU"), (Device("GPU-1", "80GB", 0), "80GB"),
])  # fmt: skip
def test_titles_are_what_people_say(device, title):
    assert title_of(device) == title


def test_classes_stand_whole_first_and_large_first():
    assert [(each.slug, each.kind, len(each.devices), each.slots_each) for each in SHARED] == [
        ("a100-sxm4-80gb", "whole", 3, 1), ("t4", "shared", 2, 4), ("a100-1g.10gb", "slice", 2, 1),
    ]  # fmt: skip
    assert [device.uuid for device in SHARED[0].devices] == ["GPU-a0", "GPU-a1", "GPU-a2"]
    assert [each.kind for each in CLASSES] == ["whole", "whole", "slice"]


def test_keepers_names_and_reserved_devices_are_on_top():
    found = classes_of(DEVICES, GPUs(names={"t4": "Small"}, reserve=["GPU-a1", "GPU-a3"]))
    assert [(each.title, len(each.devices)) for each in found] == [("A100 80 GB", 2), ("Small", 2)]
    assert classes_of(DEVICES, GPUs(reserve=[device.uuid for device in DEVICES])) == ()


@pytest.mark.parametrize("settings", [
    {}, {"share": {"t4": 2}, "names": {"a100-1g.10gb": "A seventh"}, "classes": {"t4": 1}},
    {"reserve": ["GPU-a0", "MIG-0", "GPU-a3"]},
    {"share": {"h200": 2}, "names": {"h200": "Big"}, "classes": {"h200": 1}},  # its only card may have died
])  # fmt: skip
def test_settings_that_fit_the_machine_are_accepted(settings):
    check(DEVICES, GPUs(**settings))


@pytest.mark.parametrize(("settings", "said"), [
    ({"reserve": ["GPU-zz"]}, "gpus.reserve: there is no device GPU-zz; there is GPU-a0, GPU-a1, "),
    ({"share": {"a100-1g.10gb": 2}}, "gpus.share: a100-1g.10gb are MIG slices, which are lent one by one"),
])  # fmt: skip
def test_settings_that_contradict_the_machine_are_refused(settings, said):
    with pytest.raises(OperatorError) as caught:
        check(DEVICES, GPUs(**settings))
    assert said in str(caught.value)


def test_all_contradictions_are_said_at_once_and_none_where_nothing_was_found():
    settings = GPUs(reserve=["GPU-zz", "GPU-yy"], share={"a100-1g.10gb": 2})
    with pytest.raises(OperatorError) as caught:
        check(DEVICES, settings)
    assert len(str(caught.value).splitlines()) == 3
    check((), settings)


@pytest.mark.parametrize(("settings", "said"), [
    ({"share": {"h200": 2}}, "gpus.share: there is no class h200 at present; there is a100-1g.10gb, a100-sxm4-80gb, "),
    ({"names": {"h200": "Big"}}, "gpus.names: there is no class h200 at present"),
    ({"classes": {"h200": 1, "t4": 1}}, "gpus.classes: there is no class h200 at present"),
    ({"groups": {"cms": {"classes": {"h200": 1}}}}, "gpus.groups.cms.classes: there is no class h200 at present"),
])  # fmt: skip
def test_classes_that_are_not_there_are_said(settings, said):
    [only] = unknown(DEVICES, GPUs(**settings))
    assert only.startswith(said)
    assert unknown((), GPUs(**settings)) == ()


@pytest.mark.parametrize(("words", "request_"), [
    ("0", Request(0)), ("1", Request(1)), ("3", Request(3)), ("t4:2", Request(2, "t4")), ("t4:0", Request(0)),
    ("a100-1g.10gb:1", Request(1, "a100-1g.10gb")),
])  # fmt: skip
def test_words_of_the_contract_are_understood(words, request_):
    assert parse(words, CLASSES) == request_
    assert str(request_) == words or not request_.count


POSSIBLE = ("Possible are: 0, 1 to 3 of any kind, a100-sxm4-80gb:1 to a100-sxm4-80gb:3, t4:1 to t4:2, "
            "a100-1g.10gb:1 to a100-1g.10gb:2.")  # fmt: skip


@pytest.mark.parametrize("words", [
    "-1", "1e9", "2.5", "all", "", " 1", "1 ", "1\n", "+1", "01", "1_0", "0x1", "\u0663", "1\u0663", "1000", "9" * 30,
    "t4", "t4:", ":1", "t4:-1", "t4:all", "t4:1:1", "T4:1", "none", "GPU-a0", "<b>", "t4:1,t4:1", "x" * 999,
])  # fmt: skip
def test_words_that_are_no_number_are_refused_with_what_is_possible(words):
    with pytest.raises(UserError) as caught:
        parse(words, CLASSES)
    said = str(caught.value)
    assert said.startswith("gpus ")
    assert said.endswith(f" is not a number of GPUs. {POSSIBLE}")
    assert len(said) < 300
    assert said.isprintable()


@pytest.mark.parametrize(("words", "said"), [
    ("h200:1", "This machine lends no GPU of the kind h200. "),
    ("h200:0", "This machine lends no GPU of the kind h200. "),
    (f"{'h' * 99}:1", f"This machine lends no GPU of the kind {'h' * 40}…. "),
    ("4", "gpus 4 is more than this machine has. "), ("999", "gpus 999 is more than this machine has. "),
    ("t4:3", "gpus t4:3 is more than this machine has. "),
    ("a100-1g.10gb:3", "gpus a100-1g.10gb:3 is more than this machine has. "),
])  # fmt: skip
def test_what_the_machine_has_not_is_refused_with_what_is_possible(words, said):
    with pytest.raises(UserError) as caught:
        parse(words, CLASSES)
    assert str(caught.value) == said + POSSIBLE


def test_any_kind_means_whole_cards_only():
    assert [each.slug for each in parse("2", SHARED).wants(SHARED)] == ["a100-sxm4-80gb"]
    assert [each.slug for each in parse("2", CLASSES).wants(CLASSES)] == ["a100-sxm4-80gb", "t4"]
    only_small = classes_of((*SMALL, *SLICES), GPUs(share={"t4": 2}))
    with pytest.raises(UserError, match=r"more than this machine has\. Possible are: 0, t4:1 to t4:2, a100"):
        parse("1", only_small)


def test_machine_without_gpus_offers_none():
    assert parse("0", ()) == Request(0)
    for words in ("1", "t4:1"):
        with pytest.raises(UserError, match=r"This machine has no GPU to lend: ask for 0\.$"):
            parse(words, ())


def ticket(number: int, words: str, *slugs: str, classes=CLASSES) -> Ticket:
    """A place in line."""
    request = parse(words, classes)
    stands = slugs or tuple(each.slug for each in request.wants(classes))
    return Ticket(number, f"user-{number}", "", request, 0, frozenset(stands))


def granted(*tickets: Ticket, taken=(), classes=CLASSES) -> dict[int, list[str]]:
    """Who gets which devices."""
    found = line.grants(tickets, classes, line.free_slots(classes, taken), Quotas(GPUs(per_person=9), taken))
    return {number: list(lease.uuids) for number, lease in found.items()}


def holds(*uuids: str, slots: int = 1) -> Holder:
    """Somebody who holds these."""
    return Holder("c", uuids, slots, "bert")


def test_first_come_is_first_served():
    found = granted(ticket(1, "1"), ticket(2, "a100-sxm4-80gb:1"), ticket(3, "2"), ticket(4, "a100-sxm4-80gb:1"))
    assert found == {1: ["GPU-a0"], 2: ["GPU-a1"], 3: ["GPU-t4", "GPU-t5"], 4: ["GPU-a2"]}


@pytest.mark.parametrize(("later", "passes"), [("a100-sxm4-80gb:1", False), ("1", True), ("t4:1", True), ("2", True)])
def test_who_waits_holds_back_only_those_who_want_the_same(later, passes):
    first = ticket(1, "a100-sxm4-80gb:2")
    assert granted(first, ticket(2, later), taken=[holds("GPU-a0"), holds("GPU-a1")]) == (
        {2: ["GPU-t4", "GPU-t5"][:ticket(2, later).request.count]} if passes else {})  # fmt: skip


def test_any_kind_holds_back_every_kind_it_waits_for():
    taken = [holds("GPU-a0"), holds("GPU-a1"), holds("GPU-t4")]
    assert granted(ticket(1, "2"), ticket(2, "t4:1"), ticket(3, "1"), ticket(4, "a100-1g.10gb:1"), taken=taken) == {
        4: ["MIG-0"],
    }  # fmt: skip


def test_request_that_no_class_can_serve_any_more_holds_nobody_back():
    classes = classes_of([*CARDS[:1], *SMALL], GPUs())
    assert granted(ticket(1, "a100-sxm4-80gb:2"), ticket(2, "a100-sxm4-80gb:1"), classes=classes) == {2: ["GPU-a0"]}


def test_slots_are_lent_one_by_one_and_spread_over_devices():
    asked = [ticket(number, "t4:1", classes=SHARED) for number in range(1, 7)]
    found = granted(*asked, classes=SHARED, taken=[holds("GPU-t4", slots=2)])
    assert [uuid for lease in found.values() for uuid in lease] == [
        "GPU-t5", "GPU-t5", "GPU-t4", "GPU-t5", "GPU-t4", "GPU-t5",
    ]  # fmt: skip
    assert granted(asked[0], classes=SHARED, taken=[holds("GPU-t4", slots=0), holds("GPU-t5", slots=0)]) == {}
    assert line.free_slots(SHARED, [holds("GPU-t4", slots=9), holds("GPU-zz")])["GPU-t4"] == 0


def test_position_counts_those_who_want_something_of_the_same():
    waiting = [ticket(1, "a100-sxm4-80gb:1"), ticket(2, "t4:1"), ticket(3, "1"), ticket(4, "t4:1")]
    assert [line.position(each, waiting) for each in waiting] == [1, 1, 3, 3]
    assert [line.waiting(waiting, each) for each in CLASSES] == [2, 3, 0]
