"""Every query of every panel, asked of a real Prometheus: each has data, and what its legend names is in it."""

from __future__ import annotations

import pytest
from support.boards import QUERIES, lacking, until_none_lacks, written
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.alone]

A100, T4 = "GPU-5c1f0a1e-0000-4000-8000-00000000000a", "GPU-77ab1200-0000-4000-8000-00000000000b"
SECONDS = 30


def test_every_query_has_data(watched):
    until_none_lacks(watched.ask, QUERIES, SECONDS)


def test_a_query_for_what_nobody_tells_would_be_found(watched):
    assert lacking(watched.ask, "all", "mlinfn_labs_of_the_moon") == "data"
    assert lacking(watched.ask, "{{moon}}", "up") == "moon"


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
