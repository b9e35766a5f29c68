"""What a target's disk loses is found, and everything else comes back."""

from __future__ import annotations

import os
import subprocess

import pytest
from support import backups
from support.backup_site import BackupSite

from jupyterhub_mlinfn.backup import restoring
from jupyterhub_mlinfn.backup.target import snapshots
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


@pytest.fixture
def homes(site):
    """A snapshot of the homes as they are."""
    site.one_run().snapshot("homes")
    return restoring.chosen(snapshots(site.place.restic(site.url)), "latest")["homes"]


def test_files_that_decayed_are_named_and_all_others_come_back(site, homes, tmp_path):
    with site.decayed(lists=False):
        told = restoring.restore(site.place.restic(site.url), homes, "", tmp_path / "back", lambda told: None)
    there, here = (backups.seen_below(folder) for folder in (tmp_path / "back", site.folder / "data/homes"))
    lost = {os.fsencode(each) for each in told["missing"]}
    assert lost
    assert {path for path in here if path not in there} == lost
    assert {path: seen for path, seen in here.items() if path not in lost} == there


def test_a_disk_that_is_full_is_no_damage(site, homes, tmp_path):
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path / "small"], check=True)
    try:
        with pytest.raises(Trouble, match="no space left on device") as told:
            restoring.restore(site.place.restic(site.url), homes, "", tmp_path / "small/back", lambda told: None)
        assert told.value.reason == "room"
        assert "this machine's disk has no room for what comes back" in str(told.value)
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)
