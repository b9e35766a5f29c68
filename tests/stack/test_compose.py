"""Compose's services on a real engine: they come up, come back, say what is wrong, and leave labs alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests
from support.client import Failed, Kernel
from support.stack import SERVICES
from support.wait import until

from jupyterhub_mlinfn.cli import checks, facts
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack

# It computes until it is let go, so that whatever happens before falls into it.
CELL = """
import pathlib, time
go = pathlib.Path.home() / "go"
while not go.exists():
    time.sleep(0.1)
    print("still here", flush=True)
go.unlink()
finished = "at last"
"""


@pytest.fixture(scope="module")
def lab(stack):
    """Anna's lab, running through everything that happens to the services."""
    stack.add_user("anna")
    return stack.api.start("anna")


@pytest.fixture
def broken_settings(stack):
    """Settings with two mistakes, in place of the right ones for one test."""
    right = stack.config.read_text()
    stack.config.write_text(right.replace("port:", "prot:") + "instanze: x\n")
    yield
    stack.config.write_text(right)
    stack.compose("restart", "hub")
    stack.wait_healthy()


def kill(stack, service: str) -> None:
    """Its first process dies, as from a fault; the engine brings it back."""
    os.kill(stack.service(service).attrs["State"]["Pid"], signal.SIGKILL)


def recreate(stack, service: str) -> None:
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", service)


def restart(stack, service: str) -> None:
    stack.compose("restart", service)


def test_only_the_public_port_and_what_the_services_need_listens(stack):
    wanted = {("127.0.0.1", 0), ("127.0.0.1", 1), (stack.gateway, 2), ("127.0.0.1", 3)}
    assert stack.listening() == wanted


def test_doctor_finds_nothing_red(stack):
    found = checks.findings(checks.DOCTOR, facts.gather(Site(stack.config), whole=True))
    assert [each for each in found if each.level == "red"] == []


def test_the_proxys_api_wants_its_token(stack):
    assert requests.get(f"http://127.0.0.1:{stack.port + 1}/api/routes", timeout=5).status_code == 403


def test_up_again_changes_nothing(stack):
    before = {name: stack.service(name).id for name in SERVICES}
    stack.up()
    assert {name: stack.service(name).id for name in SERVICES} == before


@pytest.mark.parametrize(
    ("service", "capabilities"),
    [("hub", {0, 1, 3, 4}), ("proxy", set()), ("guard", {12})],
    ids=["hub: CHOWN DAC_OVERRIDE FOWNER FSETID", "proxy: none", "guard: NET_ADMIN"],
)
def test_services_have_the_capabilities_that_they_need_and_no_other(stack, service, capabilities):
    status = Path(f"/proc/{stack.service(service).attrs['State']['Pid']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {bit for bit in range(64) if int(fields["CapBnd"], 16) >> bit & 1} == capabilities
    assert fields["NoNewPrivs"] == "1"


@pytest.mark.parametrize("disturb", [kill, restart, recreate])
@pytest.mark.parametrize("service", ["hub", "proxy", "guard"])
def test_a_cell_goes_on_while_a_service_is_gone(stack, lab, service, disturb, record_property):
    before = stack.lab_of("anna").id
    with lab.kernel() as kernel:
        kernel.wait_begun(kernel.send(CELL))
        disturb(stack, service)
        record_property("unreachable_s", reachable_again(lab))
        stack.wait_healthy(service)
        let_go(stack)
        with Kernel(lab, kernel.id) as again:
            assert again.run("print(finished)") == "at last\n"
    assert stack.lab_of("anna").id == before


def let_go(stack) -> None:
    """The cell of anna's lab may end now."""
    assert stack.lab_of("anna").exec_run(["touch", "/home/anna/go"]).exit_code == 0


def reachable_again(lab) -> float:
    """Seconds until the lab answers through the proxy three times in a row."""
    began = time.monotonic()
    until(lambda: all(answers(lab) for _ in range(3)), 30, "the lab to be reachable again")
    return time.monotonic() - began


def answers(lab) -> bool:
    try:
        return lab.request("GET", "api/status").status_code == 200
    except requests.ConnectionError:
        return False


def test_an_open_websocket_survives_the_hub(stack, lab):
    with lab.kernel() as kernel:
        request = kernel.send(CELL)
        kernel.wait_begun(request)
        recreate(stack, "hub")
        let_go(stack)
        assert "still here" in kernel.output(request)
    stack.wait_healthy("hub")


def test_everything_recreated_at_once_leaves_the_lab_as_it_was(stack, lab):
    before = stack.lab_of("anna").id
    stack.compose("up", "--detach", "--force-recreate", "--wait")
    reachable_again(lab)
    assert stack.lab_of("anna").id == before
    assert lab.run("print(6 * 7)") == "42\n"


def test_broken_settings_keep_the_hub_down_with_the_reason_in_one_screen_and_labs_go_on(stack, lab, broken_settings):
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "hub")
    until(lambda: "instanze" in stack.logs("hub"), 30, "the hub to say what is wrong")
    said = subprocess.run(["docker", "logs", stack.service("hub").id], capture_output=True, text=True)
    once = (said.stdout + said.stderr).split("instanze")[0].splitlines()
    assert len(once) <= 24
    assert "prot" in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    assert answers(lab)


def test_rules_that_something_removed_are_put_back(stack):
    table = f"mlinfn_{stack.instance.replace('-', '_')}"
    repairs = stack.guard_health().json()["repairs"]
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    until(lambda: stack.guard_health().json()["repairs"] > repairs, 10, "the guard to repair")
    assert stack.guard_health().status_code == 200


def test_no_lab_starts_while_the_guard_is_away_and_the_member_is_told(stack):
    stack.add_user("boris")
    stack.compose("stop", "guard")
    with pytest.raises(Failed) as told:
        stack.api.start("boris")
    assert "firewall" in str(told.value) or "network" in str(told.value)
    assert stack.api.server("boris") is None
    stack.up("guard")
    assert stack.api.start("boris").run("print('in')") == "in\n"
    stack.api.stop("boris")


def test_down_and_up_finds_the_lab_again(stack, lab):
    before = stack.lab_of("anna").id
    stack.compose("down")
    assert stack.lab_of("anna").status == "running"
    stack.up()
    reachable_again(lab)
    assert stack.lab_of("anna").id == before


def test_without_env_compose_says_what_to_run(stack):
    (stack.folder / "compose/.env").rename(stack.folder / "compose/.env.away")
    said = stack.compose("config", check=False)
    (stack.folder / "compose/.env.away").rename(stack.folder / "compose/.env")
    assert "mlinfn up" in said
