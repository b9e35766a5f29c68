"""Ports, subnets and names that no other test on this machine has."""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import random
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("MLINFN_TEST_CACHE", CHECKOUT / ".cache"))
BLOCK = 20
"""Ports that belong to one instance."""

_numbers = itertools.count(1)


def test_name() -> str:
    """A name such as t4711-3: it fits an instance's name, and says which process made it, for cleaning up."""
    return f"t{os.getpid()}-{next(_numbers)}"


test_name.__test__ = False  # it names tests and is none


def free_ports(count: int = BLOCK) -> int:
    """The first of `count` ports in a row that nobody listens on, below the range that the kernel hands out."""
    for first in random.sample(range(20000, 32000, BLOCK), 100):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("No free block of ports between 20000 and 32000.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_subnet() -> ipaddress.IPv4Network:
    """A /24 that no route of this machine touches, nor a rule: those of a guard outlive a run that was killed."""
    routes = json.loads(subprocess.run(["ip", "-j", "route"], capture_output=True, check=True).stdout)
    used = [ipaddress.ip_network(route["dst"]) for route in routes if route["dst"] != "default"]
    used += map(ipaddress.ip_network, re.findall(r"172\.29\.\d+\.0/24", _rules()))
    for third in random.sample(range(256), 256):
        subnet = ipaddress.IPv4Network(f"172.29.{third}.0/24")
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise RuntimeError("No free subnet in 172.29.0.0/16.")


def _rules() -> str:
    """The firewall's rules, as far as there is one here."""
    program = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return subprocess.run([program, "list", "ruleset"], capture_output=True, text=True).stdout if program else ""


@pytest.fixture
def free_port() -> int:
    """The first port of a block that an instance may have."""
    return free_ports()
