"""More installs from nothing than the suite has time for: .venv/bin/pytest -m endurance tests/endurance"""

from __future__ import annotations

import pytest
from support import machine_image
from support.client import Visitor
from support.engine import remove_all
from support.machine import start
from support.places import test_name

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(3600)]
INSTALL = "cd /opt/mlinfn && ./install.sh </dev/null"


@pytest.fixture
def machine_with(engine):
    """Call it with a suite of Debian for an empty machine."""
    names = []

    def make(suite: str):
        names.append(test_name())
        machine = start(engine, machine_image.bare_image(engine, suite), names[-1], suite=suite)
        machine.put_checkout()
        return machine

    yield make
    for name in names:
        remove_all(engine, name)


def answers(machine, port: int) -> bool:
    """Whether the login page is there."""
    way = machine.forward(port)
    try:
        return Visitor(port).get("/hub/login").ok
    finally:
        way.stop()


def test_debian_13_reaches_a_login_page(machine_with, free_port):
    machine = machine_with("trixie")
    machine.run(f"sed -i 's/^port: 8000/port: {free_port}/' /opt/mlinfn/config/mlinfn.yaml")
    machine.run(INSTALL, 1500)
    assert answers(machine, free_port)


@pytest.mark.parametrize("after_s", [20, 90, 200])
def test_install_that_was_killed_is_finished_by_the_next_one(machine_with, free_port, after_s):
    machine = machine_with("bookworm")
    machine.run(f"sed -i 's/^port: 8000/port: {free_port}/' /opt/mlinfn/config/mlinfn.yaml")
    interrupted = machine.try_run(f"cd /opt/mlinfn && timeout -s KILL {after_s} ./install.sh </dev/null", after_s + 60)
    assert interrupted.status != 0
    machine.run(INSTALL, 1500)
    assert answers(machine, free_port)
