"""What a target's disk loses is found, and everything else comes back."""

from __future__ import annotations

import pytest
from support.backup_site import BackupSite

from jupyterhub_mlinfn.backup.trouble import Trouble

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def site(backup_site: BackupSite) -> BackupSite:
    """A target that has had one good run."""
    return backup_site


def test_lists_of_files_that_decay_are_found_although_they_are_in_the_cache(site):
    with site.decayed(lists=True):
        site.one_run().check(cached=True)
        with pytest.raises(Trouble) as told:
            site.one_run().check()
    assert told.value.reason == "damaged"
    assert not list(site.place.state.glob("scratch*"))
