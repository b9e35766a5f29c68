"""The pool of a process, with Docker's specifications in a folder and an Engine without containers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.gpu_engine import specification

from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.gpus import Claimant, Request
from jupyterhub_mlinfn.gpus.lending import Lending
from jupyterhub_mlinfn.settings import GPUs

FIRST, SECOND = "GPU-5c1f0a12-7a56-4f8a-a6f4-1f0a5c1f0a12", "GPU-77ab1234-7a56-4f8a-a6f4-1f0a77ab1234"


class EmptyEngine:
    """A client of an Engine that has no container, and specifications in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def info(self) -> dict:
        """What the Engine says of itself."""
        return {"CDISpecDirs": [str(self.folder)]}

    def containers(self, all: bool) -> list:
        """None."""
        return []


class Machine:
    """One with these GPUs, and who lends them."""

    def __init__(self, folder: Path, **gpus):
        self.folder = folder
        self.threads = ThreadPoolExecutor(1)
        self.lending = Lending(GPUs(source="cdi", **gpus), "", EmptyEngine(folder), self.threads)

    async def has(self, *uuids: str) -> None:
        """From now on these, and that is known."""
        (self.folder / "nvidia.json").write_text(json.dumps(specification(uuids)))
        await self.lending._look()

    async def given(self) -> str:
        """What who asks for one gets."""
        async with self.lending.pool.claim(Claimant("anna"), Request(1)) as lease:
            return lease.uuids[0]


@pytest.fixture
def machine(tmp_path) -> Iterator:
    """Call it, with settings, for a machine."""
    made = []

    def make(**gpus) -> Machine:
        made.append(Machine(tmp_path, **gpus))
        return made[-1]

    yield make
    for each in made:
        each.threads.shutdown()


async def test_reserved_device_that_is_not_there_keeps_all_from_being_lent(machine, caplog):
    here = machine(reserve=[SECOND])
    for _ in range(2):
        await here.has(FIRST)
    assert here.lending.classes == ()
    with pytest.raises(UserError, match="This machine has no GPU to lend"):
        await here.given()
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert said == [f"No GPU is lent until mlinfn.yaml is mended. gpus.reserve: there is no device {SECOND}; "
                    f"there is {FIRST}."]  # fmt: skip
    await here.has(FIRST, SECOND)
    assert await here.given() == FIRST


async def test_reserved_device_that_breaks_keeps_nothing_else_from_being_lent(machine):
    here = machine(reserve=[SECOND])
    await here.has(FIRST, SECOND)
    await here.has(FIRST)
    assert await here.given() == FIRST


async def test_class_that_has_gone_is_said_once_and_the_others_are_lent(machine, caplog):
    here = machine(share={"t4": 4})
    for _ in range(2):
        await here.has(FIRST)
    assert await here.given() == FIRST
    assert [record.message[:40] for record in caplog.records].count("gpus.share: there is no class t4 at pres") == 1


async def test_hub_that_starts_before_anything_is_known_checks_when_it_is(machine):
    here = machine(reserve=[SECOND])
    await here.lending.known()
    assert here.lending.trouble == ""
    await here.has(FIRST)
    assert SECOND in here.lending.trouble
