"""What is told of labs, from a made-up Engine: with names and without, when it hangs, and when a lab goes."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone

import pytest
import requests
from prometheus_client import CollectorRegistry

from jupyterhub_mlinfn.container import LABELS
from jupyterhub_mlinfn.lab_accounts import STALE_S, Accounts


class MadeUpEngine:
    """Labs by their user, each with what it uses."""

    def __init__(self):
        self.labs, self.events, self.trouble, self.asked = {}, [], {}, []

    def has(self, user: str, cpu_s: float = 1.0, room: str = "", memory: int = 2**30) -> None:
        """From now on there is this lab, which has used so much."""
        moment = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        labels = {"user": user, "server": "", "room": room, "profile": "lab", "image": "mlinfn/lab:1"}
        self.labs[user] = (
            {"Id": user, "Name": f"/t-lab-{user}", "State": {"StartedAt": "2026-01-01T00:00:00Z"},
             "Config": {"Labels": {f"{LABELS}{key}": value for key, value in labels.items() if value}},
             "HostConfig": {"Memory": memory, "CpuPeriod": 100_000, "CpuQuota": 150_000}},
            {"read": moment, "cpu_stats": {"cpu_usage": {"total_usage": cpu_s * 1e9}}, "pids_stats": {"current": 3},
             "memory_stats": {"usage": 500, "stats": {}}, "networks": {}},
        )  # fmt: skip

    async def running(self):
        """Ids."""
        self._fail("running")
        return list(self.labs)

    async def inspect(self, container):
        """Once for each."""
        self.asked.append(container)
        return self.labs[container][0] if container in self.labs else None

    async def stats(self, container):
        """None of one that has just gone."""
        self._fail(container)
        return self.labs[container][1] if container in self.labs else None

    async def killed(self, since, until):
        """Each once."""
        events, self.events = self.events, []
        return events

    def _fail(self, what):
        if what in self.trouble:
            raise self.trouble[what]


@pytest.fixture
def engine() -> MadeUpEngine:
    """Anna's lab and a room's."""
    engine = MadeUpEngine()
    engine.has("anna")
    engine.has("room-cms", cpu_s=5, room="cms")
    return engine


def told(accounts: Accounts) -> dict:
    """Values by name and the labels that are not empty."""
    registry = CollectorRegistry()
    accounts.register(registry)
    return {(sample.name, *(value for value in sample.labels.values() if value)): sample.value
            for family in registry.collect() for sample in family.samples}  # fmt: skip


async def test_each_lab_is_told_with_its_names(engine):
    accounts = Accounts(engine)
    await accounts.look()
    assert told(accounts) == {
        ("mlinfn_container_info", "anna", "t-lab-anna", "anna", "lab", "mlinfn/lab:1"): 1,
        ("mlinfn_container_info", "room-cms", "t-lab-room-cms", "room-cms", "cms", "lab", "mlinfn/lab:1"): 1,
        **{(name, *key): value for key, cpu_s in ((("anna", "lab"), 1), (("room-cms", "cms", "lab"), 5)) for name, value
           in {"mlinfn_lab_cpu_seconds_total": cpu_s, "mlinfn_lab_cpu_limit": 1.5, "mlinfn_lab_processes": 3,
               "mlinfn_lab_memory_working_set_bytes": 500, "mlinfn_lab_memory_limit_bytes": 2**30,
               "mlinfn_lab_started_timestamp_seconds": 1767225600, "mlinfn_lab_network_receive_bytes_total": 0,
               "mlinfn_lab_network_transmit_bytes_total": 0, "mlinfn_lab_out_of_memory_total": 0}.items()},
    }  # fmt: skip


async def test_a_sample_has_its_own_moment(engine):
    accounts = Accounts(engine)
    await accounts.look()
    samples = [sample for family in accounts.collect() for sample in family.samples if sample.name.endswith("_bytes")]
    assert all(abs(each.timestamp - time.time()) < 5 for each in samples if "working_set" in each.name)
    assert all(each.timestamp is None for each in samples if "limit" in each.name)


async def test_without_names_labs_are_added_up_and_counters_never_go_down(engine):
    accounts = Accounts(engine, named=False)
    engine.has("bob")
    await accounts.look()
    engine.has("anna", cpu_s=4)
    engine.has("bob", cpu_s=3)
    await accounts.look()
    values = told(accounts)
    assert not any("anna" in word for key in values for word in key[2:])  # key[1] is the id of a container
    assert values["mlinfn_lab_cpu_seconds_total", "lab"] == 5  # since somebody looks
    assert values["mlinfn_lab_memory_working_set_bytes", "lab"] == 1000
    del engine.labs["anna"]
    await accounts.look()
    assert told(accounts)["mlinfn_lab_cpu_seconds_total", "lab"] == 5
    assert told(accounts)["mlinfn_lab_memory_working_set_bytes", "lab"] == 500


async def test_a_lab_that_goes_while_it_is_asked_for_is_not_told(engine):
    accounts = Accounts(engine)
    await accounts.look()

    del engine.labs["anna"]
    assert await accounts._ask("anna") is None
    await accounts.look()
    assert {key[1] for key in told(accounts) if key[0] == "mlinfn_lab_processes"} == {"room-cms"}


async def test_what_hangs_keeps_what_others_said(engine):
    accounts = Accounts(engine)
    engine.trouble["anna"] = requests.ReadTimeout("10 s")
    with pytest.raises(requests.ReadTimeout):
        await accounts.look()
    assert {key[1] for key in told(accounts) if key[0] == "mlinfn_lab_processes"} == {"room-cms"}


async def test_what_was_said_long_ago_is_not_told(engine):
    accounts = Accounts(engine)
    await accounts.look()
    accounts.samples = {name: type(each)(each.lab, each.usage, each.at - STALE_S) for name, each in
                        accounts.samples.items()}  # fmt: skip
    assert told(accounts) == {}


async def test_a_lab_is_inspected_once(engine):
    accounts = Accounts(engine)
    await accounts.look()
    await accounts.look()
    assert sorted(engine.asked) == ["anna", "room-cms"]


async def test_who_ran_out_of_memory_is_counted_also_when_the_lab_has_gone(engine):
    accounts = Accounts(engine)
    engine.events = [engine.labs["anna"][0]["Config"]["Labels"]] * 2
    await accounts.look()
    del engine.labs["anna"]
    await accounts.look()
    assert told(accounts)["mlinfn_lab_out_of_memory_total", "anna", "lab"] == 2


async def test_trouble_is_said_once_and_ends_nothing(engine, caplog):
    accounts = Accounts(engine)
    accounts.every_s = 0.001
    engine.trouble["running"] = requests.ConnectionError("no answer")
    loop = asyncio.ensure_future(accounts.run())
    while not caplog.records:
        await asyncio.sleep(0)
    engine.trouble["running"] = KeyError("read")
    while "It is not known" not in caplog.text:
        await asyncio.sleep(0.001)
    engine.trouble.clear()
    while not accounts.samples:
        await asyncio.sleep(0.001)
    loop.cancel()
    assert caplog.text.count("no answer") == 1
