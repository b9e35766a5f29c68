"""Exporters that are away, slow or talk nonsense, a clock that jumps, a full disk: a real Prometheus says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.engine import remove_all, show_evidence
from support.places import free_ports, test_name
from support.receiver import listening
from support.wait import until
from support.watched import Prometheus, configuration, started, write

from jupyterhub_mlinfn.cli import monitoring_config
from jupyterhub_mlinfn.settings import Settings

pytestmark = [pytest.mark.docker, pytest.mark.alone]

MANY = 10_000
SLOW_S = 3
BACK_S = 1800
SECONDS = 40


def nonsense() -> str:
    return "<!DOCTYPE html><title>502 Bad Gateway</title>"


def slow() -> str:
    time.sleep(SLOW_S)
    return "in_vain 1\n"


def endless() -> str:
    return "".join(f'endless{{number="{number}"}} 1\n' for number in range(monitoring_config.MOST_SAMPLES + 1))


def many() -> str:
    return "".join(f'many{{number="{number}"}} {time.time()}\n' for number in range(MANY))


class Clock:
    """Tells samples with a time, which jumps back after some of them."""

    told = 0

    def __call__(self) -> str:
        self.told += 1
        jumped = self.told > 3
        return f"clock_jumped {jumped:d} {(time.time() - BACK_S * jumped) * 1000:.0f}\n"


TELLS: dict[str, Callable[[], str]] = {
    "backup": nonsense, "dirsize": slow, "cvmfs-probe": endless, "node-exporter": many, "gpus": Clock()}  # fmt: skip
"""Services and what they tell; the proxy and Traefik are away."""


class Machine:
    """Services that tell this, for as many Prometheus as are started."""

    def __init__(self, engine, image: str, folder: Path):
        self.engine, self.image, self.folder, self.name = engine, image, folder, test_name()
        self.settings = Settings(port=free_ports())
        write(folder, self.settings, configuration(self.settings, (*TELLS, "proxy", "traefik", "prometheus")))

    def prometheus(self, offset: int, *flags: str, **more: str) -> Prometheus:
        """One on another port."""
        return started(self.engine, self.image, self.name, self.folder, self.settings.port + offset, *flags, **more)


@pytest.fixture(scope="module")
def machine(images, engine, tmp_path_factory) -> Iterator[Machine]:
    """One with these services."""
    machine = Machine(engine, images["monitoring"], tmp_path_factory.mktemp("troubled"))
    with ExitStack() as stack:
        for service, text in TELLS.items():
            stack.enter_context(listening(machine.settings.port + monitoring_config.PORTS[service], text))
        stack.callback(remove_all, engine, machine.name)
        stack.callback(show_evidence, engine, machine.name)  # shown if something failed
        yield machine


@pytest.fixture(scope="module")
def prometheus(machine) -> Prometheus:
    """One with room."""
    return machine.prometheus(10)


def test_who_is_away_slow_endless_or_talks_nonsense_is_said_and_the_others_are_seen(prometheus):
    wanted = {("HubDown", "hub"), ("ProxyDown", "proxy"), ("TraefikDown", "traefik"), ("TargetDown", "backup"),
              ("TargetDown", "dirsize"), ("TargetDown", "cvmfs")}  # fmt: skip
    until(lambda: {each for each in prometheus.alerts() if each[0].endswith("Down")} == wanted, SECONDS, "the alerts")
    assert {each["metric"]["job"] for each in prometheus.ask("up == 1")} == {"node", "gpus", "prometheus"}
    assert prometheus.ask('count({__name__=~"in_vain|endless"})') == []
    assert len(prometheus.ask("many")) == MANY


def test_after_the_clock_was_set_back_numbers_are_taken_as_before(prometheus):
    def of_back_then() -> list[str]:
        found = prometheus.ask(f"clock_jumped @ {time.time() - BACK_S:.0f}")
        return [each["value"][1] for each in found]

    until(lambda: of_back_then() == ["1"], SECONDS, "numbers with the time that it is now")
    [up] = prometheus.ask('min_over_time(up{job="gpus"}[1m])')
    assert up["value"][1] == "1"


def test_a_full_disk_is_said_though_nothing_can_be_written_down(machine):
    """What is said comes after five minutes usually, for so long are numbers good; here after two seconds."""
    full = machine.prometheus(18, "--query.lookback-delta=2s", data="size=600k")
    until(lambda: full.ask("up"), SECONDS, "it to work")
    until(lambda: ("NumbersLost", "prometheus") in full.alerts() and not full.ask("up"), SECONDS, "the alert")
