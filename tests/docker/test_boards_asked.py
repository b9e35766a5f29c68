"""Every query of every panel, asked of a real Prometheus: each has data, and what its legend names is in it."""

from __future__ import annotations

import json
import re

import pytest
from support.places import CHECKOUT
from support.wait import until

pytestmark = pytest.mark.docker

BOARDS = [json.loads(path.read_text()) for path in sorted((CHECKOUT / "grafana/dashboards").glob("*.json"))]
QUERIES = [(board["title"], panel["title"], target["legendFormat"], target["expr"])
           for board in BOARDS for panel in board["panels"] for target in panel.get("targets", ())]  # fmt: skip
VARIABLES = {"$__rate_interval": "1m", "$user": ".*"}
A100, T4 = "GPU-5c1f0a1e-0000-4000-8000-00000000000a", "GPU-77ab1200-0000-4000-8000-00000000000b"
SECONDS = 30


def written(query: str) -> str:
    """As Grafana sends it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert not re.search(r"\$[_a-z]", query), query
    return query


def lacking(watched, legend: str, query: str) -> str:
    """What is not there: any data, or a label of the legend; empty if nothing is."""
    found = watched.ask(written(query))
    labels = {name for each in found for name in each["metric"]}
    missing = set(re.findall(r"{{(\w+)}}", legend)) - labels
    return "data" if not found else ", ".join(sorted(missing))


def test_every_query_has_data(watched):
    waiting = list(QUERIES)

    def all_have() -> bool:
        waiting[:] = [query for query in waiting if lacking(watched, *query[2:])]
        return not waiting

    try:
        until(all_have, SECONDS, "data for every query", every_s=0.5)
    except TimeoutError as late:
        raise AssertionError("\n".join(f"{query}: no {lacking(watched, *query[2:])}" for query in waiting)) from late


def values(watched, title: str, panel: str, label: str) -> dict[str, float]:
    """What a panel with one query shows, by a label."""
    [query] = [query for board, name, _, query in QUERIES if (board, name) == (title, panel)]
    return {each["metric"].get(label, ""): float(each["value"][1]) for each in watched.ask(written(query))}


def test_memory_of_cards_is_not_taken_for_its_opposite(watched):
    until(lambda: watched.ask("DCGM_FI_DEV_FB_FREE"), SECONDS, "dcgm-exporter")
    used, free = (values(watched, "GPUs", f"Memory {which}", "gpu") for which in ("used", "free"))
    assert (used["0"], free["0"]) == (41000 * 2**20, 40000 * 2**20)
    assert (used["2"], free["2"]) == (700 * 2**20, 9000 * 2**20)
    assert values(watched, "GPUs", "Memory used, of all", "gpu")["1"] == 0.2


def test_containers_are_peoples_in_either_version_of_cgroups(watched):
    for panel in ("Read from disks", "Written to disks", "Held back"):
        until(lambda panel=panel: set(values(watched, "Containers", panel, "user")) == {"anna", "room-cms"}, SECONDS,
              panel)  # fmt: skip


def test_a_card_that_two_share_is_told_once(watched):
    until(lambda: watched.ask("mlinfn:person_gpus_busy"), SECONDS, "who keeps GPUs busy")
    assert len(watched.ask('DCGM_FI_DEV_GPU_UTIL{gpu="1"}')) == 2
    assert values(watched, "GPUs", "Busy", "UUID") == {A100: 97, T4: 40}
