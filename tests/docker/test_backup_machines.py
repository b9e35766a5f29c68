"""Two machines have the key and the target of one: only the one that was told to writes to it."""

from __future__ import annotations

import dataclasses

import pytest
from support.backup_site import BackupSite

from jupyterhub_mlinfn.backup import state, verbs
from jupyterhub_mlinfn.backup.target import Run, back_up, snapshots
from jupyterhub_mlinfn.backup.trouble import Trouble

pytestmark = pytest.mark.docker


@pytest.fixture
def site(backup_site: BackupSite) -> BackupSite:
    """The machine that people work on."""
    return backup_site


@pytest.fixture
def trial(site, tmp_path):
    """The service of another machine, on which the same was restored."""
    return dataclasses.replace(site.place, state=tmp_path / "state")


def test_only_the_machine_that_was_told_to_writes(site, trial):
    before = snapshots(site.place.restic(site.url))
    after = back_up(trial, site.url, print)
    assert (after.reason, snapshots(site.place.restic(site.url))) == ("machine", before)
    words = verbs.parser().parse_args(["forget", "--target", site.url, before[0]["id"]])
    with pytest.raises(Trouble, match="another machine"):
        verbs.forget(trial, words, print)
    verbs.adopt(trial, verbs.parser().parse_args(["adopt", "--target", site.url]), print)
    moved = Run(trial, trial.restic(site.url), print)
    moved.ours(state.load(trial.state, site.url).adopted)
    moved.snapshot("rooms")
    with pytest.raises(Trouble, match="another machine"):
        site.one_run().ours("")
    verbs.adopt(site.place, verbs.parser().parse_args(["adopt", "--target", site.url]), print)
    site.one_run().ours(state.load(site.place.state, site.url).adopted)
