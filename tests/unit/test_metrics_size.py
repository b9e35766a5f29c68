"""How many series there are with 500 members, each in five groups, 100 of them at work with a GPU each."""

from __future__ import annotations

import time
from types import SimpleNamespace

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from jupyterhub_mlinfn import dirsize, metrics, starts
from jupyterhub_mlinfn.census import Census
from jupyterhub_mlinfn.gpu_accounts import holdings
from jupyterhub_mlinfn.gpus import Device, Holder, View, classes_of
from jupyterhub_mlinfn.lab_accounts import Accounts, Running, Sample
from jupyterhub_mlinfn.settings import GPUs
from jupyterhub_mlinfn.usage import Usage

MEMBERS, LABS, GROUPS, PROFILES, ROOMS = 500, 100, 20, 10, 10


def lines(text: str) -> int:
    """The samples of a page."""
    return sum(not line.startswith("#") for line in text.splitlines())


def of_labs(named: bool) -> int:
    """What the labs' own series are."""
    accounts, now = Accounts(None, named=named), time.monotonic()
    for number in range(LABS):
        key = (f"user{number}" if named else "", "", "", f"profile{number % PROFILES}")
        lab = Running(f"{number:064x}", f"mlinfn-lab-user{number}", key, "mlinfn/lab:1", 1, 2**30, 2)
        accounts.samples[lab.container] = Sample(lab, Usage(1, 1, 1), now)
        accounts.sums.add(key, lab.container, 0, Usage(1, 1, 1))
    return lines(metrics.page(accounts.collect()))


def of_people(named: bool) -> int:
    """Who is in which group."""
    census = Census(SimpleNamespace(), (), named=named)
    census.groups = [(f"user{number}", f"group{(number + each) % GROUPS}") for number in range(MEMBERS)
                     for each in range(5)] if named else []  # fmt: skip
    census.inside = {f"room{number}": 3 for number in range(ROOMS)}
    return lines(metrics.page(census.collect()))


def of_gpus(named: bool) -> int:
    """Who holds which, and what everybody has been charged for, of two classes."""
    devices = tuple(Device(f"GPU-{number}", ("A100", "T4")[number % 2], 1, number) for number in range(LABS))
    holders = tuple(Holder("", (f"GPU-{number}",), 1, f"user{number}") for number in range(LABS))
    return len(holdings(View(0, classes_of(devices, GPUs()), holders), named=named)) \
        + 2 * (MEMBERS if named else GROUPS)


def of_starts() -> int:
    """Every profile with every end that it may have."""
    registry = CollectorRegistry()
    counted = Counter("starts", "", ("profile", "outcome", "reason"), registry=registry)
    took = Histogram("seconds", "", ("profile", "phase"), registry=registry, buckets=metrics.START_BUCKETS)
    for number in range(PROFILES):
        for outcome, reasons in ((starts.STARTED, ("",)), (starts.REFUSED, starts.WHY_REFUSED),
                                 (starts.FAILED, starts.WHY_FAILED), (starts.CANCELLED, ("", "gpu_left"))):  # fmt: skip
            for reason in reasons:
                counted.labels(f"profile{number}", outcome, reason)
        for phase in (*starts.PHASES, "total"):
            took.labels(f"profile{number}", phase)
    return sum("_created" not in line for line in generate_latest(registry).decode().splitlines() if line[0] != "#")


def of_disks(named: bool) -> int:
    """What people's, groups' and rooms' folders take."""
    sizes = dirsize.Sizes(named=named)
    for kind, count in (("users", MEMBERS), ("shared", MEMBERS), ("groups", GROUPS), ("rooms", ROOMS)):
        sizes.known[kind] = {f"{kind}{number}": dirsize.Size(1, 1, 1, 1) for number in range(count)}
    return lines(sizes.answer("/metrics")[1])


def test_series_are_as_many_as_people_and_labs_and_no_more():
    for named, most in ((True, 10_000), (False, 1500)):
        parts = {"labs": of_labs(named), "people": of_people(named), "gpus": of_gpus(named), "starts": of_starts(),
                 "disks": of_disks(named)}  # fmt: skip
        print(f"{MEMBERS} members, {LABS} labs, {'with' if named else 'without'} names: {sum(parts.values())} series "
              f"{parts}")  # fmt: skip
        assert sum(parts.values()) < most
