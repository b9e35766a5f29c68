"""Prometheus and the series of labs, on a real engine: right while a lab runs, and gone with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from support.places import test_name as new_name
from support.stack import Stack
from support.wait import until

from jupyterhub_mlinfn.cli import compose
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack
BURN = "end = __import__('time').time() + 40\nwhile __import__('time').time() < end: pass"


@pytest.fixture(scope="module")
def stack(engine, images, mini_image, tmp_path_factory) -> Iterator[Stack]:
    """A stack that is watched, with a lab."""
    mini = {"slug": "mini", "title": "Mini", "image": mini_image}
    stack = Stack(tmp_path_factory.mktemp("stack"), new_name(), engine, images=[mini], monitoring={"enabled": True})
    try:
        stack.prepare()
        compose.up(Site(stack.config), quiet=True)
        stack.wait_healthy("hub")
        stack.add_user("anna")
        stack.api.start("anna")
        yield stack
    finally:
        print(stack.logs())  # shown if something failed
        stack.close()


def values(stack: Stack, query: str) -> list[float]:
    """Of an expression; none while Prometheus starts."""
    try:
        url = f"http://127.0.0.1:{stack.port + 10}/api/v1/query"
        found = requests.get(url, params={"query": query}, timeout=5).json()["data"]["result"]
    except requests.RequestException:
        return []
    return [float(each["value"][1]) for each in found]


def test_all_of_ours_are_asked(stack):
    asked = {"hub", "proxy", "guard", "dirsize", "node", "prometheus", "alertmanager"}
    until(lambda: sum(values(stack, f'up{{job=~"{"|".join(asked)}"}}')) == len(asked), 60, "all to answer", every_s=1)
    assert values(stack, "mlinfn_guard_up") == [1]
    assert values(stack, 'mlinfn_starts_total{profile="mini",outcome="started"}') == [1]


def test_a_lab_is_seen_while_it_runs_and_gone_with_it(stack):
    lab = stack.lab_of("anna")
    lab.exec_run(["python3", "-c", BURN], detach=True)
    rate = 'rate(mlinfn_lab_cpu_seconds_total{user="anna"}[45s])'
    until(lambda: values(stack, rate) and values(stack, rate)[0] > 0.5, 60, "it to work", every_s=1)
    assert values(stack, "mlinfn_container_info * on (user) group_left () mlinfn_lab_memory_working_set_bytes")
    stack.api.stop("anna")
    until(lambda: not values(stack, 'mlinfn_lab_cpu_seconds_total{user="anna"}'), 40, "it to be gone", every_s=1)
