"""Runs of the service and restores are killed again and again.

`.venv/bin/pytest -s -m endurance tests/endurance -k killed` says where each was killed, and how often that was where.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from support.backup_kills import Keeper, killed_restores, killed_runs
from support.backup_site import BackupSite

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(1200)]
KILLS = 20
AIMS = ("files", "everything", "swap", "swap") * 5
FILES, LARGE_MB = 3000, 200


@pytest.fixture(scope="module")
def full_site(backup_site: BackupSite) -> BackupSite:
    """A site with so much data that getting it back takes a while."""
    folder = backup_site.folder / "data/homes/zoe/much"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}").write_bytes(os.urandom(5000))
    with (folder / "large").open("wb") as file:
        for _ in range(LARGE_MB):
            file.write(os.urandom(1 << 20))
    assert backup_site.run().reason == ""
    return backup_site


def test_twenty_killed_runs_leave_a_sound_repository(full_site: BackupSite):
    tell(killed_runs(full_site, KILLS, thorough=True))
    full_site.one_run().check("--read-data")


def test_twenty_killed_restores_show_nothing_half(full_site: BackupSite, keeper: Keeper):
    tell(killed_restores(keeper, AIMS))
    assert full_site.run().trouble == ""


def tell(told: Counter[str]) -> None:
    """Prints how often it was killed where."""
    for step, count in told.most_common():
        print(f"{count:3} {step}")
