"""From an earlier state of this repository to this one, with a lab running; it needs the history of the repository.

`.venv/bin/pytest -m endurance tests/endurance/test_upgrades.py`
"""

from __future__ import annotations

import json

import pytest
from support import demo
from support.client import Kernel, Visitor
from support.machine import Machine
from support.newcomer import Newcomer
from support.wait import until

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(3600)]
BEFORE = "acaba6b72d02c830433e959499b32f0763ae8bdb"
"""The last state without TLS, a web site of the documentation, and half of the verbs."""
ADDRESS = "https://git.example.org/jupyterhub_mlinfn.git"
ENOUGH, HOME = "enough", "/srv/mlinfn/users/demo-member"
CELL = f"""
import pathlib, time
gaps, last = [], time.monotonic()
while not pathlib.Path.home().joinpath("{ENOUGH}").exists():
    time.sleep(0.1)
    gaps.append(time.monotonic() - last)
    last += gaps[-1]
"""
LONGEST_GAP_S = 10
"""The machine builds images meanwhile."""


@pytest.fixture
def keeper(bare_machine: Machine, free_port: int):
    """With the checkout of before on a machine that has nothing else yet."""
    bare_machine.put_repository(ADDRESS)
    bare_machine.run("apt-get update -q && apt-get install -y -q git", 300)
    bare_machine.run(f"git clone -q {ADDRESS} /opt/mlinfn && cd /opt/mlinfn && git reset -q --hard {BEFORE}")
    way = bare_machine.forward(free_port)
    yield Newcomer(bare_machine, free_port, "/opt/mlinfn/config/mlinfn.yaml")
    way.stop()


def labs(machine: Machine) -> list[str]:
    """Ids of the containers of labs."""
    return machine.run("docker ps -q --no-trunc --filter label=it.infn.mlinfn.user=demo-member").split()


def test_upgrade_stops_no_cell_and_logs_nobody_out(keeper):
    machine = keeper.machine
    keeper.write(f"port: {keeper.port}")
    said = machine.run("cd /opt/mlinfn && ./install.sh", 1500)
    visitor = Visitor(keeper.port)
    demo.log_in(visitor, "demo-member", demo.passwords_in(said)["demo-member"])
    api = visitor.api()
    lab = api.start("demo-member")
    kernel, before = lab.kernel(), labs(machine)
    kernel.wait_begun(kernel.send(CELL))

    said = keeper.follow("docs/how-to/install.md", "Upgrade")["./install.sh"].output
    print(said)
    assert machine.run("cd /opt/mlinfn && git rev-parse HEAD origin/HEAD").split()[0] != BEFORE
    assert demo.passwords_in(said) == {}
    assert labs(machine) == before
    assert lab.request("GET", f"api/kernels/{kernel.id}").json()["execution_state"] == "busy"
    page = visitor.get("/hub/home")
    assert (page.status_code, page.url) == (200, f"http://localhost:{keeper.port}/hub/home")
    assert api.server("demo-member")["ready"]
    everything_is_well(machine)

    machine.run(f"touch {HOME}/{ENOUGH}")
    with Kernel(lab, kernel.id) as again:  # as a page that is loaded again has it
        count, longest = json.loads(again.run("print([len(gaps), max(gaps)])"))
    assert count > 100
    assert longest < LONGEST_GAP_S


def everything_is_well(machine: Machine) -> None:
    """Soon, for some services need a moment until they are."""
    def reds() -> list[dict]:
        found = json.loads(machine.try_run("mlinfn status --json").output)["findings"]
        return [each for each in found if each["level"] == "red"]

    until(lambda: reds() == [], 60, "no line of the status to be red", every_s=2)

