"""Waiting for a GPU: how it ends, what who waits is told, and that the book hears of it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing

import pytest

from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.gpus import Claimant, Device, EngineAway, Pool, Request, Tickets
from jupyterhub_mlinfn.gpus.ledger import LABELS
from jupyterhub_mlinfn.gpus.tickets import BETWEEN_SIGNS_S
from jupyterhub_mlinfn.settings import GPUs
from jupyterhub_mlinfn.spawner import MARGIN_S, MLINFNSpawner

CARDS = tuple(Device(f"GPU-a{n}", "NVIDIA A100-SXM4-80GB", 80 * 2**30, n) for n in range(4))
MEMBERS = {"few": frozenset({"anna", "bert"})}
SITE = GPUs(per_server=2, per_person=2, groups={"few": {"total": 1}}, wait="1s")


class MadeUpEngine:
    """Labs, each with what it holds."""

    def __init__(self):
        self.labs: dict[tuple[str, str], str] = {}
        self.away = False

    async def containers(self) -> list[dict]:
        """The Engine's list."""
        if self.away:
            raise EngineAway
        return [_lab(user, server, uuids) for (user, server), uuids in self.labs.items()]

    async def inspect(self, container: str) -> None:
        """Nobody else is there."""


def _lab(user: str, server: str, uuids: str) -> dict:
    labels = {f"{LABELS}user": user, f"{LABELS}server": server, f"{LABELS}gpus": uuids, f"{LABELS}slots": "1"}
    name = f"/site-lab-{user}" + (f".{server}" if server else "")
    return {"Id": name, "Names": [name], "State": "running", "Labels": labels, "Created": 1}


class Bench:
    """A pool whose four GPUs are all held by one lab, and those who wait for them."""

    def __init__(self, book=":memory:", **gpus):
        self.engine, self.book = MadeUpEngine(), book
        self.engine.labs["zoe", ""] = ",".join(device.uuid for device in CARDS)
        self.pool = Pool(self.engine, lambda: CARDS, Tickets(book), SITE.model_copy(update=gpus))
        self.said: dict[tuple[str, str], str] = {}

    async def start(self, user: str, server: str = "", count: int = 1) -> tuple[str, ...]:
        """What they get; their lab has it from then on."""
        groups = {name: members for name, members in MEMBERS.items() if user in members}
        tell = lambda wait: self.said.update({(user, server): wait.sentence(show_holders=False)})  # noqa: E731
        async with self.pool.claim(Claimant(user, server, groups), Request(count), tell) as lease:
            self.engine.labs[user, server] = ",".join(lease.uuids)
        return lease.uuids

    @asynccontextmanager
    async def waiting(self, *who: tuple):
        """Tasks of these starts, which stand in line in this order."""
        tasks = []
        for each in who:
            tasks.append(asyncio.ensure_future(self.start(*each)))
            await self.until(lambda: len(self.pool.line) == len(tasks))
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, condition) -> None:
        """Returns when it is so."""
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    def stops(self, user: str = "zoe", server: str = "") -> None:
        """Their lab has stopped."""
        del self.engine.labs[user, server]
        self.pool.changed()

    def numbers(self) -> dict[str, float]:
        """Who has a place in the book, and when it last heard of it."""
        with closing(sqlite3.connect(self.book)) as book:
            return dict(book.execute("SELECT user, seen FROM tickets"))


@pytest.mark.parametrize("is_away", [False, True])
async def test_wait_in_vain_ends_at_its_limit_and_the_place_is_gone(tmp_path, is_away):
    bench = Bench(tmp_path / "gpus.sqlite")
    began = time.monotonic()
    async with bench.waiting(("carla",)) as [start]:
        bench.engine.away = is_away
        with pytest.raises(UserError, match="No GPU became free within 1s") as refused:
            await start
    assert 1 <= time.monotonic() - began < 5
    assert refused.value.reason == "gpu_wait"
    assert bench.pool.line == ()
    assert bench.numbers() == {}


async def test_wait_for_a_total_ends_as_well():
    bench = Bench()
    bench.engine.labs = {("anna", ""): "GPU-a0"}
    with pytest.raises(UserError) as refused:
        await bench.start("bert")
    assert refused.value.reason == "gpu_wait"
    assert "you are next. Members of few may hold 1 together: it goes on when one of" in bench.said["bert", ""]


async def test_first_of_a_group_is_served_and_the_second_keeps_the_place():
    bench = Bench(wait="1m")
    async with bench.waiting(("anna",), ("bert",), ("carla",)) as [anna, bert, carla]:
        bench.stops()
        assert (await anna, await carla) == (("GPU-a0",), ("GPU-a1",))
        await bench.until(lambda: "Members of few" in bench.said["bert", ""])
        assert [ticket.user for ticket in bench.pool.line] == ["bert"]
        bench.stops("anna")
        assert await bert == ("GPU-a0",)


async def test_two_servers_of_one_person_wait_for_no_more_than_may_be_held():
    bench = Bench(wait="1m")
    async with bench.waiting(("carla", "a"), ("carla", "b")) as starts:
        with pytest.raises(UserError, match="You hold 0 GPUs, wait for 2 more and may hold 2 in all") as refused:
            await bench.start("carla", "c")
        assert refused.value.reason == "gpu_limit"
        bench.stops()
        assert [await start for start in starts] == [("GPU-a0",), ("GPU-a1",)]


async def test_book_hears_of_everybody_who_waits_while_one_of_them_looks(tmp_path):
    bench = Bench(tmp_path / "gpus.sqlite", wait="1m")
    async with bench.waiting(("carla",), ("dora",)):
        with closing(sqlite3.connect(bench.book, isolation_level=None)) as book:
            book.execute("UPDATE tickets SET seen = 0")
        bench.pool._kept_at -= BETWEEN_SIGNS_S
        await bench.until(lambda: all(bench.numbers().values()))
        assert bench.numbers().keys() == {"carla", "dora"}


def test_a_start_has_the_time_for_its_image_its_place_in_line_and_its_answer():
    limits = {"starting": {"pull_limit": "5m", "ready_limit": "30s"}, "gpus": {"wait": "3m"}}
    assert MLINFNSpawner(**limits).start_timeout == 300 + 180 + 30 + MARGIN_S
    assert MLINFNSpawner(**{**limits, "gpus": {"wait": "1d"}}).start_timeout == 300 + 86400 + 30 + MARGIN_S
