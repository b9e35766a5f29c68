"""GPU-seconds and gauges, from a pool on a made-up Engine."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy.exc import OperationalError

from jupyterhub_mlinfn import metrics
from jupyterhub_mlinfn.gpu_accounts import Accounts, held
from jupyterhub_mlinfn.gpus import Claimant, Device, EngineAway, Holder, Pool, Request, Tickets, View, classes_of
from jupyterhub_mlinfn.settings import GPUs

GIB = 2**30
DEVICES = (Device("GPU-a", "NVIDIA A100-SXM4-80GB", 80 * GIB, 0), Device("GPU-t", "Tesla T4", 16 * GIB, 1))
SITE = GPUs(share={"t4": 4})
A100 = "a100-sxm4-80gb"


class MadeUpEngine:
    """One lab holds one GPU."""

    away = is_idle = False

    async def containers(self):
        """The Engine's list."""
        if self.away:
            raise EngineAway("no answer")
        if self.is_idle:
            return []
        labels = {"it.infn.mlinfn.user": "anna-of-accounts", "it.infn.mlinfn.gpus": "GPU-a"}
        return [{"Id": "c", "Names": ["/x-lab-anna-of-accounts"], "State": "running", "Labels": labels, "Created": 1}]

    async def inspect(self, container):
        """Nobody else is there."""


class MadeUpLending:
    """What lends, with its pool."""

    def __init__(self):
        self.engine = MadeUpEngine()
        self.pool = Pool(self.engine, lambda: DEVICES, Tickets(":memory:"), SITE)

    async def known(self):
        """At once."""


@pytest.fixture
def lending() -> MadeUpLending:
    """A pool of two GPUs."""
    return MadeUpLending()


def test_a_shared_gpu_counts_in_part_and_containers_of_others_for_nobody():
    holders = (Holder("1", ("GPU-a", "GPU-gone"), 1, "anna"), Holder("2", ("GPU-t",), 1, "bob"),
               Holder("3", ("GPU-t",), 0, "eva"), Holder("4", ("GPU-a",)))  # fmt: skip
    counted = held(View(0, classes_of(DEVICES, SITE), holders), {"anna": "cms", "bob": "", "eva": ""}.get)
    assert dict(counted) == {("anna", "cms", A100): 1, ("bob", "", "t4"): 0.25, ("eva", "", "t4"): 1}


async def test_time_is_added_up_while_docker_answers(lending):
    accounts = Accounts(lambda: lending, lambda user: "cms")
    labels = {"user": "anna-of-accounts", "group": "cms", "class": A100}
    accounts._added_at -= 100
    await accounts.add_up()
    assert REGISTRY.get_sample_value("mlinfn_gpu_seconds_total", labels) == pytest.approx(100, abs=5)
    assert REGISTRY.get_sample_value("mlinfn_gpu_wait_seconds_count", {"class": "t4"}) == 0, "before anybody waited"
    accounts._added_at -= 100
    lending.engine.away = True
    lending.pool.changed()
    with pytest.raises(EngineAway):
        await accounts.add_up()
    lending.engine.away = False
    await accounts.add_up()
    assert REGISTRY.get_sample_value("mlinfn_gpu_seconds_total", labels) == pytest.approx(100, abs=5)
    assert REGISTRY.get_sample_value("mlinfn_gpu_wait_seconds_count", {"class": "t4"}) == 0, "before anybody waited"


async def test_database_error_or_an_absent_docker_ends_nothing(lending, caplog):
    asked = []

    def group_of(user: str) -> str:
        asked.append(user)
        if len(asked) == 2:
            raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))
        lending.engine.away = len(asked) == 3
        lending.pool.changed()
        return "of-the-loop"

    accounts = Accounts(lambda: lending, group_of)
    loop = asyncio.ensure_future(accounts.run(every_s=0.01))
    while "Docker does not say" not in caplog.text:
        await asyncio.sleep(0.01)
    lending.engine.away = False
    while len(asked) < 5:
        await asyncio.sleep(0.01)
    loop.cancel()
    assert "database is locked" in caplog.text
    labels = {"user": "anna-of-accounts", "group": "of-the-loop", "class": A100}
    assert REGISTRY.get_sample_value("mlinfn_gpu_seconds_total", labels) > 0


async def test_gauges_tell_devices_slots_lent_and_waiting(lending):
    registry = CollectorRegistry()
    accounts = Accounts(lambda: lending, lambda user: "")
    accounts.register(registry)
    assert registry.get_sample_value("mlinfn_gpu_devices", {"class": "t4"}) is None

    async def wait():
        async with lending.pool.claim(Claimant("bob"), Request(1)):
            pass

    waiting = asyncio.ensure_future(wait())
    await accounts.add_up()
    while not lending.pool.line:
        await asyncio.sleep(0)
    shown = {(name, slug): registry.get_sample_value(f"mlinfn_gpu_{name}", {"class": slug})
             for name in ("devices", "slots", "lent", "waiting") for slug in (A100, "t4")}  # fmt: skip
    waiting.cancel()
    assert shown == {
        ("devices", A100): 1, ("slots", A100): 1, ("lent", A100): 1, ("waiting", A100): 1,
        ("devices", "t4"): 1, ("slots", "t4"): 4, ("lent", "t4"): 0, ("waiting", "t4"): 0,
    }  # fmt: skip


async def test_what_each_lab_holds_is_told_with_its_name_or_without(lending):
    def told(**options) -> dict:
        registry, accounts = CollectorRegistry(), Accounts(lambda: lending, str, **options)
        accounts.view = View(0, classes_of(DEVICES, SITE), (
            Holder("1", ("GPU-a", "GPU-t"), 1, "anna"), Holder("2", ("GPU-t",), 1, "room-cms", room="cms"),
            Holder("3", ("GPU-t",), 1, "bob", "b")))  # fmt: skip
        accounts.register(registry)
        return {tuple(each.labels[name] for name in ("user", "server", "room", "index", "class")): each.value
                for family in registry.collect() for each in family.samples if each.name == "mlinfn_lab_gpu_info"}

    assert told() == {("anna", "", "", "0", A100): 1, ("anna", "", "", "1", "t4"): 0.25,
                      ("room-cms", "", "cms", "1", "t4"): 0.25, ("bob", "b", "", "1", "t4"): 0.25}  # fmt: skip
    assert told(named=False) == {("", "", "", "0", A100): 1, ("", "", "cms", "1", "t4"): 0.25,
                                 ("", "", "", "1", "t4"): 0.5}  # fmt: skip


async def test_without_names_time_is_nobodys(lending):
    accounts = Accounts(lambda: lending, lambda user: "of-nobody", named=False)
    accounts._added_at -= 100
    await accounts.add_up()
    labels = {"user": "", "group": "of-nobody", "class": A100}
    assert REGISTRY.get_sample_value("mlinfn_gpu_seconds_total", labels) == pytest.approx(100, abs=5)


async def test_dcgm_exporter_hears_at_once_what_changes(lending, tmp_path):
    accounts = Accounts(lambda: lending, lambda user: "", folder=tmp_path / "run/dcgm")
    file, running = tmp_path / "run/dcgm/0", asyncio.ensure_future(accounts.run(every_s=60))
    await _until(lambda: file.exists() and file.read_text() == "anna-of-accounts\n")
    assert file.stat().st_mode & 0o777 == 0o644
    lending.engine.is_idle = True
    lending.pool.changed()
    await _until(lambda: file.read_text() == "")
    running.cancel()


async def _until(condition):
    while not condition():
        await asyncio.sleep(0.01)


async def test_a_folder_that_cannot_be_made_costs_nobody_their_account(lending, tmp_path, caplog):
    (tmp_path / "run").touch()
    await Accounts(lambda: lending, lambda user: "", folder=tmp_path / "run/dcgm").add_up()
    assert "dcgm-exporter is not told" in caplog.text


def test_nothing_is_told_before_anything_lends():
    assert [family.samples for family in Accounts(lambda: None, str).collect()] == [[], [], [], [], []]


def test_waits_are_counted_by_class():
    metrics.gpu_given("of-a-test", 3)
    assert REGISTRY.get_sample_value("mlinfn_gpu_wait_seconds_bucket", {"class": "of-a-test", "le": "5.0"}) == 1
    assert REGISTRY.get_sample_value("mlinfn_gpu_wait_seconds_bucket", {"class": "of-a-test", "le": "1.0"}) == 0
