"""One stack that is watched, with labs at work, for all tests of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.burner import Burner
from support.client import Failed
from support.mini_lab import offer
from support.monitored import Monitored
from support.places import test_name
from support.wait import until

from jupyterhub_mlinfn.cli import compose

BURN_S = 60


@pytest.fixture(scope="package")
def monitored(engine, images, mini_image, tmp_path_factory) -> Iterator[Monitored]:
    """A stack as `mlinfn up` starts it, with backups and a room; `said` is what could not be started."""
    folder = tmp_path_factory.mktemp("stack")
    room = {"name": "cms", "group": "cms", "image": mini_image, "memory": "256M"}
    stack = Monitored(
        folder, test_name(), engine, **offer(mini_image), sizes={"memory": ["2G"], "cpus": ["2"]},
        groups=["cms"], rooms=[room], backup={"targets": [str(folder / "copies")]},
        gpus={"source": "simulated", "simulated": 1, "share": {"simulated-gpu": 2}},
        monitoring={"cadvisor": "registry.invalid/google/cadvisor:v0.54.1"},
    )  # fmt: skip
    try:
        stack.prepare()
        stack.said = compose.up(stack.site, quiet=True)
        stack.wait_healthy("hub", "guard", "proxy")
        yield stack
    finally:
        print(stack.logs())  # shown if something failed
        stack.close()


@pytest.fixture(scope="package")
def burner(monitored: Monitored) -> Burner:
    """What goes on in anna's lab, of which it is known what it used before: `idle` bytes. Others' starts failed."""
    for name in ("anna", "boris"):
        monitored.add_user(name, groups=("cms",))
    for name in ("gpu_wait", "start"):  # the first is counted as well, if it is more than there was before
        until(lambda name=name: monitored.value(f"sum(mlinfn_{name}_seconds_count)") == 0, 60, f"no {name} yet")
    monitored.api.start("anna", gpus="simulated-gpu:1")
    with suppress(Failed):
        monitored.api.start("boris", profile="dies")
    monitored.api.ask("boris", profile="nothing")
    idle = until(lambda: monitored.value('mlinfn_lab_memory_working_set_bytes{user="anna"}'), 60, "the lab to be known")
    burner = Burner(monitored.lab_of("anna"), BURN_S)
    burner.idle = idle
    return burner
