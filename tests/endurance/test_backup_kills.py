"""The service is killed again and again, in the middle of runs."""

from __future__ import annotations

import pytest
from support.backup_site import killed_runs

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(900)]


def test_twenty_killed_runs_leave_a_sound_repository(backup_site):
    killed_runs(backup_site, 20)
