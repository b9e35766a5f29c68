"""What Docker's stats mean, with cgroup v1 and v2, and sums that outlive labs."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn.usage import Sums, Usage, epoch, usage_of, working_set

STATS = {
    "read": "2026-11-25T22:51:32.500000000Z", "pids_stats": {"current": 7}, "num_procs": 0,
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}, "online_cpus": 2},
    "memory_stats": {"usage": 1000, "stats": {"inactive_file": 300}, "limit": 2000},
    "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 1}, "eth1": {"rx_bytes": 5, "tx_bytes": 2}},
}  # fmt: skip
ENDED = {"read": "0001-01-01T00:00:00Z", "pids_stats": {}, "cpu_stats": {"cpu_usage": {"total_usage": 0}},
         "memory_stats": {}}  # fmt: skip


def test_an_answer_is_read():
    assert usage_of(STATS) == Usage(epoch("2026-11-25T22:51:32.5Z"), 2.5, 700, 7, 15, 3)


def test_without_a_network_of_its_own_nothing_is_received():
    assert usage_of({**STATS, "networks": None}).received == 0


@pytest.mark.parametrize("stats", [ENDED, {**ENDED, "memory_stats": None}])
def test_a_lab_that_has_ended_uses_nothing(stats):
    assert usage_of(stats) is None


@pytest.mark.parametrize(("told", "used"), [
    ({"total_inactive_file": 300, "inactive_file": 100}, 700), ({"inactive_file": 300, "file": 400}, 700),
    ({}, 1000), (None, 1000), ({"inactive_file": 1001}, 0),
], ids=["cgroup v1 with groups below", "cgroup v2", "nothing is told", "null", "more than all"])  # fmt: skip
def test_files_that_can_go_are_no_working_set(told, used):
    assert working_set({"usage": 1000, "stats": told}) == used


def test_sums_go_on_when_a_lab_ends():
    sums = Sums(since=100)
    sums.add("lab", "new", 110, Usage(112, cpu_s=1, received=10))
    sums.add("lab", "new", 110, Usage(120, cpu_s=3, received=10))
    sums.add("lab", "old", 50, Usage(120, cpu_s=1000))
    sums.add("lab", "old", 50, Usage(130, cpu_s=1001, sent=7))
    sums.keep({"old"})
    assert sums.totals["lab"] == Usage(130, cpu_s=4, received=10, sent=7)
    sums.add("lab", "old", 50, Usage(140, cpu_s=1002))
    assert sums.totals["lab"].cpu_s == 5
