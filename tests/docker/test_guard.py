"""The guard's rules in a real kernel, tried from inside: what labs reach, what they do not, what comes back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import netns
from support.wait import until

pytestmark = pytest.mark.docker

GUARD = Path(__file__).parents[2] / "compose" / "guard" / "guard.py"
PORT = 8003
ENVIRON = {
    "MLINFN_INSTANCE": "mlinfn-test",
    "MLINFN_LABS_BRIDGE": netns.BRIDGE,
    "MLINFN_LABS_SUBNET": netns.SUBNET,
    "MLINFN_HUB_ADDRESS": netns.GATEWAY,
    "MLINFN_HUB_PORT": str(netns.HUB_PORT),
    "MLINFN_GUARD_PORT": str(PORT),
    "MLINFN_ALLOW_NETWORKS": "10.30.0.0/24, 169.254.0.0/16",
}
TABLE = "mlinfn_mlinfn_test"


@pytest.fixture(scope="module")
def open_world() -> Iterator[netns.World]:
    """The world without a guard."""
    with netns.world(f"mlt{os.getpid()}") as world:
        yield world


@pytest.fixture
def world(open_world) -> Iterator[netns.World]:
    """The world with a guard at work."""
    with guarding(open_world):
        yield open_world
    open_world.run("host", "nft", "flush", "ruleset")


@contextlib.contextmanager
def guarding(world, **changes: str) -> Iterator[subprocess.Popen]:
    """A running guard, whose first line has been printed."""
    guard = world.python("host", str(GUARD), "run", environ={**ENVIRON, **changes})
    try:
        guard.first = guard.stdout.readline()
        yield guard
    finally:
        guard.terminate()
        guard.communicate(timeout=10)


def health(world) -> tuple[int, dict]:
    """Status and facts of the guard's health page."""
    body = world.run("host", "curl", "-s", "-w", "\n%{http_code}", f"http://127.0.0.1:{PORT}/health")
    facts, status = body.rsplit("\n", 1)
    return int(status), json.loads(facts)


def tables(world) -> list[str]:
    return world.run("host", "nft", "list", "tables").splitlines()


def listing(world) -> str:
    return world.run("host", "nft", "-s", "list", "ruleset")


LABS_REACH = {
    "the hub": ("tcp", netns.GATEWAY, netns.HUB_PORT),
    "the public internet": ("tcp", netns.PUBLIC, 80),
    "the public internet by UDP": ("udp", netns.PUBLIC, 80),
    "the engine's resolver": ("udp", netns.RESOLVER, 53),
    "the engine's resolver by TCP": ("tcp", netns.RESOLVER, 53),
    "a network that the site allows": ("tcp", "10.30.0.7", 80),
}
LABS_DO_NOT_REACH = {
    "another lab": ("tcp", netns.BORIS, 8888),
    "another lab by UDP": ("udp", netns.BORIS, 8888),
    "the proxy's API": ("tcp", netns.GATEWAY, 8001),
    "the host's ssh": ("tcp", netns.GATEWAY, 22),
    "the hub's port by UDP": ("udp", netns.GATEWAY, netns.HUB_PORT),
    "the host at its outside address": ("tcp", netns.HOST_OUTSIDE, 22),
    "the hub's port at the outside address": ("tcp", netns.HOST_OUTSIDE, netns.HUB_PORT),
    "the host by IPv6": ("tcp", "fd00:30::1", 22),
    "the hub by IPv6": ("tcp", "fd00:30::1", netns.HUB_PORT),
    "the metadata address, which the site allowed by mistake": ("tcp", netns.METADATA, 80),
    "the metadata address by UDP": ("udp", netns.METADATA, 53),
    "ten-dot addresses": ("tcp", "10.20.0.7", 80),
    "ten-dot addresses by UDP": ("udp", "10.20.0.7", 80),
    "another port of the resolver": ("tcp", netns.RESOLVER, 80),
    "shared addresses": ("tcp", "100.64.0.7", 80),
    "192.168": ("tcp", "192.168.7.7", 80),
}


@pytest.mark.parametrize("target", LABS_REACH.values(), ids=LABS_REACH)
def test_a_lab_reaches(world, target):
    assert world.knock("anna", *target, limit_s=5) == "open"


@pytest.mark.parametrize("target", LABS_DO_NOT_REACH.values(), ids=LABS_DO_NOT_REACH)
def test_a_lab_does_not_reach(world, target):
    assert world.knock("anna", *target) != "open"


@pytest.mark.parametrize("target", LABS_DO_NOT_REACH.values(), ids=LABS_DO_NOT_REACH)
def test_without_the_guard_a_lab_would_reach(open_world, target):
    """The test's world is wired so that only the guard stands in between."""
    assert open_world.knock("anna", *target, limit_s=5) == "open"


def test_a_broadcast_stays_with_its_lab(open_world):
    with open_world.counting("boris", "udp dport 7777") as arrived:
        open_world.knock("anna", "udp", "172.30.255.255", 7777, limit_s=0.3)
        assert arrived() == 1
        with guarding(open_world):
            open_world.knock("anna", "udp", "172.30.255.255", 7777, limit_s=0.3)
        assert arrived() == 1
    open_world.run("host", "nft", "flush", "ruleset")


def test_a_refusal_comes_at_once_not_by_waiting(world):
    assert world.knock("anna", "tcp", netns.METADATA, 80, limit_s=20) in ("No route to host", "Host is unreachable")


@pytest.mark.parametrize("calls_iptables", ["0", "1"], ids=["bridge-nf off", "bridge-nf on"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_labs_are_apart_however_the_bridge_filters(world, kind, calls_iptables):
    world.set("host", "net/bridge/bridge-nf-call-iptables", calls_iptables)
    assert world.knock("anna", kind, netns.BORIS, 8888) != "open"
    assert world.knock("boris", kind, netns.ANNA, 8888) != "open"


def test_the_host_reaches_labs(world):
    assert world.knock("host", "tcp", netns.ANNA, 8888, limit_s=5) == "open"


def test_the_host_reaches_the_hub_at_its_address(world):
    assert world.knock("host", "tcp", netns.GATEWAY, netns.HUB_PORT, limit_s=5) == "open"


INSIDE = {"a lab": (netns.ANNA, 8888), "the hub": (netns.GATEWAY, netns.HUB_PORT)}


@pytest.mark.parametrize(("address", "port"), INSIDE.values(), ids=INSIDE)
def test_a_neighbour_of_the_machine_does_not_reach(world, address, port):
    assert world.knock("world", "tcp", address, port) != "open"


def test_a_lab_cannot_send_under_another_address(open_world):
    open_world.run("anna", "ip", "address", "add", "172.31.9.9/32", "dev", "lo")
    with open_world.counting("world", "ip saddr 172.31.9.9") as arrived:
        open_world.knock("anna", "udp", netns.PUBLIC, 80, source="172.31.9.9", limit_s=0.3)
        assert arrived() == 1
        with guarding(open_world):
            open_world.knock("anna", "udp", netns.PUBLIC, 80, source="172.31.9.9", limit_s=0.3)
        assert arrived() == 1
    open_world.run("host", "nft", "flush", "ruleset")


def test_a_connection_from_before_the_rules_ends(open_world):
    knock = open_world.python("anna", "-c", netns.KNOCK, "tcp", "10.20.0.7", "80", "1", stdin=subprocess.PIPE)
    assert knock.stdout.readline() == "open\n"
    with guarding(open_world):
        knock.stdin.write("again\n")
        knock.stdin.close()
        assert knock.stdout.readline() != "open\n"
    knock.wait(timeout=10)
    open_world.run("host", "nft", "flush", "ruleset")


def test_rules_of_others_cannot_let_a_lab_through(world):
    """Docker's accepts, or a careless administrator's, in tables before and after ours."""
    for priority in (-300, 0, 300):
        chain = f"{{ type filter hook forward priority {priority}; policy accept; accept; }};"
        world.run("host", "nft", f"table ip other{priority + 300} {{ chain forward {chain} }}")
    assert world.knock("anna", "tcp", netns.METADATA, 80) != "open"


SPOILED = {
    "one table deleted": f"delete table inet {TABLE}",
    "the other table deleted": f"delete table bridge {TABLE}",
    "everything flushed": "flush ruleset",
    "our chains flushed": f"flush table inet {TABLE}",
    "a rule put in front": f"insert rule inet {TABLE} lab_to_elsewhere accept",
    "a rule put behind": f"add rule inet {TABLE} lab_to_elsewhere accept",
    "a policy changed": f"chain inet {TABLE} forward {{ policy drop; }}",
    "a chain added": f"add chain inet {TABLE} more",
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_rules_come_back(world, spoil):
    should_be = listing(world)
    world.run("host", "nft", spoil)
    until(lambda: listing(world) == should_be, timeout_s=10, what="the rules")
    until(lambda: health(world)[0] == 200, timeout_s=10, what="the health page")
    assert world.knock("anna", "tcp", netns.METADATA, 80) != "open"


def test_each_repair_is_one_line_of_log(open_world):
    with guarding(open_world) as guard:
        assert guard.first == "guard: rules loaded\n"
        for _ in range(2):
            open_world.run("host", "nft", "flush", "ruleset")
            assert guard.stdout.readline() == "guard: the rules had been removed or changed: loaded again\n"
        assert health(open_world)[1]["repairs"] == 2
        told = open_world.run("host", "curl", "-s", f"http://127.0.0.1:{PORT}/metrics").splitlines()
        assert {"mlinfn_guard_up 1", "mlinfn_guard_repairs_total 2"} <= set(told)
    assert guard.stdout.closed or guard.stdout.read() == ""


def test_rules_outlive_the_guard(world):
    with guarding(world, MLINFN_GUARD_PORT="8004"):
        pass
    assert f"table inet {TABLE}" in tables(world)
    assert world.knock("anna", "tcp", netns.METADATA, 80) != "open"


FLOOD = """
import socket, time
flood = socket.socket(type=socket.SOCK_DGRAM)
print("ready", flush=True)
while True:
    try:
        flood.sendto(b"x", ("10.20.0.7", 9))
    except OSError:  # the refusal of the one before
        pass
    time.sleep(0.0002)
"""


def test_a_restart_leaves_no_moment_without_rules(open_world):
    """A lab sends to a forbidden address all the while; the other side counts what arrives."""
    with open_world.counting("world", "udp dport 9") as arrived:
        with guarding(open_world):
            sender = open_world.python("anna", "-c", FLOOD)
            assert sender.stdout.readline() == "ready\n"
        for _ in range(8):
            with guarding(open_world):
                assert health(open_world)[0] == 200
        assert arrived() == 0
        open_world.run("host", "nft", "flush", "ruleset")
        until(arrived, timeout_s=5, what="the first packet, now that there are no rules")
        sender.terminate()
        sender.communicate(timeout=10)


def test_health_says_no_when_the_kernel_refuses(open_world, tmp_path):
    """An `nft` in front of the real one that fails as it does without the capability."""
    broken = tmp_path / "nft"
    broken.write_text("#!/bin/sh\necho 'Error: Operation not permitted' >&2\nexit 1\n")
    broken.chmod(0o755)
    with guarding(open_world, PATH=f"{tmp_path}:{os.environ['PATH']}") as guard:
        assert guard.first == "guard: the rules cannot be loaded: Error: Operation not permitted\n"
        status, facts = health(open_world)
        assert (status, facts["why"]) == (503, "Error: Operation not permitted")
        broken.unlink()
        assert guard.stdout.readline() == "guard: rules loaded\n"
        assert health(open_world)[0] == 200
    open_world.run("host", "nft", "flush", "ruleset")


def test_nothing_else_is_served(world):
    status = world.run("host", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{PORT}/")
    assert status == "404"


def test_two_instances_leave_each_other_alone(world):
    with guarding(world, MLINFN_INSTANCE="mlinfn-other", MLINFN_GUARD_PORT="8004", MLINFN_LABS_BRIDGE="other"):
        assert f"table inet {TABLE}" in tables(world)
        assert "table inet mlinfn_mlinfn_other" in tables(world)
    other = {**ENVIRON, "MLINFN_INSTANCE": "mlinfn-other"}
    world.python("host", str(GUARD), "remove", environ=other).communicate(timeout=10)
    assert "table inet mlinfn_mlinfn_other" not in tables(world)
    assert health(world)[0] == 200


def test_remove_takes_everything_away(open_world):
    with guarding(open_world):
        pass
    removal = open_world.python("host", str(GUARD), "remove", environ=ENVIRON)
    assert removal.communicate(timeout=10)[0] == "guard: rules removed\n"
    assert tables(open_world) == []
