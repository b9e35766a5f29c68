"""A start that waits for a GPU in vain: its owner reads why, and the hub is none the worse."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from support.client import Failed
from support.mini_lab import offer

pytestmark = pytest.mark.docker


def test_a_wait_in_vain_counts_as_no_failure_and_the_place_is_gone(mlinfn, mini_image):
    mlinfn.extra = "c.Spawner.consecutive_failure_limit = 1\nc.JupyterHub.authenticate_prometheus = False\n"
    site = mlinfn.start(**offer(mini_image), gpus={"source": "simulated", "simulated": 1, "wait": "2s"})
    for name in ("anna", "bob"):
        site.add_user(name)
    site.api.start("anna", gpus="1")
    for _ in range(2):
        with pytest.raises(Failed, match="No GPU became free within 2s"):
            site.api.start("bob", gpus="1")
    with closing(sqlite3.connect(site.root / "hub/gpus.sqlite")) as book:
        assert book.execute("SELECT user FROM tickets").fetchall() == []
    told = site.visitor().get("/hub/metrics").text
    counted = [line for line in told.splitlines() if "spawn_duration_seconds_count" in line]
    assert any('reason="gpu_wait"' in line for line in counted), "the hub has counted both"
    assert [line for line in counted if 'status="error"' in line and not line.endswith(" 0.0")] == []
    assert "Aborting due to" not in site.hub.text()
    site.api.stop("anna")
    site.api.start("bob", gpus="1")
    lab = site.lab_of("bob")
    assert lab.labels["it.infn.mlinfn.gpus"].startswith("GPU-")
    said = lab.exec_run(["sh", "-c", "echo [$MLINFN_GPUS] $NVIDIA_VISIBLE_DEVICES"]).output.decode()
    assert said.split() == ["[]", "void"], "a simulated GPU is none"
