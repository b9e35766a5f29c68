"""Limits while GPUs are given out: who is over one waits, nobody else does, and the order of the line holds."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn.gpus import Device, Holder, Request, classes_of, line
from jupyterhub_mlinfn.gpus.line import Ticket
from jupyterhub_mlinfn.gpus.quotas import Quotas
from jupyterhub_mlinfn.settings import GPUs

CARDS = tuple(Device(f"GPU-a{n}", "NVIDIA A100-SXM4-80GB", 80 * 2**30, n) for n in range(4))
SMALL = tuple(Device(f"GPU-t{n}", "Tesla T4", 15 * 2**30, n + 4) for n in range(2))
CLASSES = classes_of((*CARDS, *SMALL), GPUs())
SITE = GPUs(per_person=2, classes={"t4": 1}, groups={"few": {"total": 1}, "some": {"total": 3}})
MEMBERS = {"few": frozenset({"anna", "bert"}), "some": frozenset({"anna", "carla", "dora", "eva"}), "free": frozenset()}
A100, T4 = "a100-sxm4-80gb", "t4"


def ticket(number: int, user: str, count: int = 1, slug: str = "", server: str = "") -> Ticket:
    """A place in line."""
    request = Request(count, slug)
    groups = {name: members for name, members in MEMBERS.items() if user in members}
    slugs = frozenset(each.slug for each in request.wants(CLASSES))
    return Ticket(number, user, server, request, 0, slugs, groups)


def holds(user: str, *uuids: str, server: str = "") -> Holder:
    """A lab of theirs."""
    return Holder(f"{user}-{server}", uuids, 1, user, server)


def granted(*tickets: Ticket, taken=()) -> tuple[list[int], dict[int, str]]:
    """Numbers of those who get what they want, and why others do not."""
    quotas = Quotas(SITE, taken)
    found = line.grants(tickets, CLASSES, line.free_slots(CLASSES, taken), quotas)
    return sorted(found), quotas.reached


def test_first_of_a_group_in_line_gets_what_its_total_leaves():
    served, reached = granted(ticket(1, "anna"), ticket(2, "bert"), ticket(3, "zoe"))
    assert served == [1, 3]
    assert reached == {2: "Members of few may hold 1 together: it goes on when one of them stops a lab."}


def test_who_waits_for_a_total_holds_back_the_group_alone():
    taken = [holds("carla", "GPU-a0"), holds("dora", "GPU-a1")]
    served, reached = granted(ticket(1, "eva", 2), ticket(2, "anna"), ticket(3, "zoe"), ticket(4, "bert"), taken=taken)
    assert served == [3, 4]
    assert set(reached) == {1, 2}
    assert granted(ticket(1, "eva", 2), ticket(2, "anna"), taken=taken[:1]) == ([1], {2: reached[2]})


def test_every_group_counts():
    taken = [holds("carla", "GPU-a0"), holds("dora", "GPU-a1", "GPU-a2")]
    _, reached = granted(ticket(1, "anna"), taken=[*taken, holds("bert", "GPU-a3")])
    assert reached[1].startswith("Members of few may hold 1 together and members of some may hold 3 together: it goes")


@pytest.mark.parametrize("slug", [A100, ""])
def test_one_person_with_two_servers_gets_no_more_than_may_be_held(slug):
    first, second = ticket(1, "zoe", 2, slug, "a"), ticket(2, "zoe", 1, slug, "b")
    served, reached = granted(first, second, ticket(3, "yves", 1, slug))
    assert served == [1, 3]
    assert reached == {2: "You hold as many as you may: it goes on when you stop another lab of yours."}


def test_any_kind_is_served_by_a_class_of_which_there_may_be_more():
    taken = [holds("yves", *(card.uuid for card in CARDS[1:])), holds("zoe", "GPU-t0", server="a")]
    served, reached = granted(ticket(1, "zoe"), taken=taken)
    assert (served, reached) == ([1], {})
    taken.append(holds("xaver", "GPU-a0"))
    served, _ = granted(ticket(1, "zoe"), ticket(2, "wim", 1, T4), ticket(3, "wim", 1, A100, "b"), taken=taken)
    assert served == [2], "who may have no more T4s holds back nobody there"


def test_container_of_before_of_the_same_server_does_not_count():
    assert granted(ticket(1, "anna"), taken=[holds("anna", "GPU-a0")]) == ([1], {})


def test_request_for_what_has_gone_does_not_hold_back_its_group():
    gone = Ticket(1, "anna", "", Request(1, "h200"), 0, frozenset({"h200"}), {"few": MEMBERS["few"]})
    taken = [holds("anna", "GPU-a0", server="b")]
    assert granted(gone, ticket(2, "bert"))[0] == [2]
    assert granted(gone, taken=taken) == ([], {})
