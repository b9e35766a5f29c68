"""What the guard makes of its settings; the rules themselves are tried on a kernel in tests/docker/test_guard.py."""

from __future__ import annotations

import importlib.util
import sys
import time
from ipaddress import IPv4Address, IPv4Network

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.places import CHECKOUT

from jupyterhub_mlinfn import metrics

_spec = importlib.util.spec_from_file_location("guard_rules", CHECKOUT / "compose/guard/rules.py")
rules = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)

ENVIRON = {
    "MLINFN_INSTANCE": "mlinfn", "MLINFN_LABS_BRIDGE": "mlinfn-labs", "MLINFN_LABS_SUBNET": "172.30.0.0/16",
    "MLINFN_HUB_ADDRESS": "172.30.0.1", "MLINFN_HUB_PORT": "8002", "MLINFN_ALLOW_NETWORKS": "",
}  # fmt: skip

RESOLV_CONF = {
    "the site's": ("search a.example\nnameserver 10.1.2.3\nnameserver 192.0.2.53\n", ["10.1.2.3", "192.0.2.53"]),
    "one on the host's loopback, asked by the engine": ("nameserver 127.0.0.53\n", []),
    "IPv6, which labs have not": ("nameserver fd00::53\nnameserver fe80::1%eth0\n", []),
    "the metadata address, which stays blocked": ("nameserver 169.254.169.254\n", []),
    "comments and half lines": ("# nameserver 10.0.0.1\nnameserver\n\n", []),
    "the same one twice": ("nameserver 10.0.0.1\nnameserver 10.0.0.1\n", ["10.0.0.1"]),
}


@pytest.mark.parametrize(("text", "found"), RESOLV_CONF.values(), ids=RESOLV_CONF)
def test_resolvers_are_those_that_labs_ask_themselves(text, found):
    assert [str(address) for address in rules.resolvers_of(text)] == found


@pytest.mark.parametrize(
    ("text", "networks"),
    [("", []), ("10.0.0.0/24", ["10.0.0.0/24"]), ("10.0.0.0/25,10.0.0.128/25, 10.0.0.5/32", ["10.0.0.0/24"])],
    ids=["none", "one", "neighbours and parts become one"],
)
def test_allowed_networks_never_overlap(text, networks):
    wall = rules.wall_of({**ENVIRON, "MLINFN_ALLOW_NETWORKS": text}, "")
    assert wall.allow_networks == tuple(map(IPv4Network, networks))


def test_instances_have_tables_of_their_own():
    tables = {rules.wall_of({**ENVIRON, "MLINFN_INSTANCE": name}, "").table for name in ("a", "a-b", "ab", "b-a")}
    assert len(tables) == 4


def test_the_rules_name_nothing_that_is_not_in_the_settings():
    wall = rules.wall_of(ENVIRON, "")
    assert wall.hub_address == IPv4Address("172.30.0.1")
    assert 'iifname "mlinfn-labs"' in rules.rules(wall)
    assert "dport 53" not in rules.rules(wall)


def test_prometheus_is_told_what_health_says(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "compose/guard")
    guard = importlib.import_module("guard")
    families = {each.name: each for each in text_string_to_metric_families(guard.told({"well": False, "repairs": 3}))}
    assert 0 < time.time() - families.pop("process_start_time_seconds").samples[0].value < 3600
    declared = [each for each in metrics.DECLARED if each.page == "guard"]
    assert {each.name: (each.kind, each.text) for each in declared} == {
        name + "_total" * (each.type == "counter"): (each.type, each.documentation) for name, each in families.items()}
    assert [each.samples[0].value for each in families.values()] == [0, 3]
