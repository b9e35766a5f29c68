"""Targets that a helper of restic's reaches, with ssh and rclone as our image has them: out, and back."""

from __future__ import annotations

import re

import pytest
from support import backups

from jupyterhub_mlinfn.backup.place import KEY, RCLONE, SSH_HOSTS, SSH_KEY
from jupyterhub_mlinfn.cli.backup_container import CONFIG, Container, work
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.docker
BOX = "rclone:box:/box/copies"


@pytest.fixture(scope="module")
def container(images, sftp, tmp_path_factory):
    """Makes a container for both targets, which has homes and what it needs to reach them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    backups.fill(folder / "root")
    secrets, config = folder / "secrets", folder / "mlinfn.yaml"
    for made in (secrets, folder / "state", folder / "box"):
        made.mkdir()
    for name, text in ((KEY, "the key\n"), (SSH_KEY, sftp.key), (SSH_HOSTS, sftp.known_host),
                       (RCLONE, "[box]\ntype = local\n")):  # fmt: skip
        (secrets / name).write_text(text)
        (secrets / name).chmod(0o600)
    config.write_text("images: [{slug: lab, title: Lab, image: mlinfn/lab}]\n"
                      f"backup: {{targets: ['{sftp.url}', '{BOX}']}}\n")
    mounts = {folder / "state": "/var/lib/backup", folder / "box": "/box"}
    reads = {config: CONFIG, folder / "root/users": "/data/homes"}
    return lambda targets, into=None: Container(Site(config), secrets, targets, into, mounts, reads)


@pytest.fixture(scope="module")
def copied(container, sftp):
    """What a run said of each target."""
    return work(container([sftp.url, BOX]), "run", say=print)


@pytest.mark.parametrize("place", ["sftp", "rclone"])
def test_what_is_copied_elsewhere_comes_back(container, sftp, copied, tmp_path, place):
    number, url = (0, sftp.url) if place == "sftp" else (1, BOX)
    assert (copied[number]["reason"], copied[number]["trouble"]) == ("", "")
    assert copied[number]["verified_files"]
    into = tmp_path / 'back, of 15:00 "so"'
    into.mkdir()
    work(container([url], into), "restore", "--", "homes/zoe", say=print)
    here = next(folder for folder, where in container([]).reads.items() if where == "/data/homes")
    assert backups.seen_below(into) == backups.seen_below(here / "zoe")


def test_a_host_that_nobody_knows_is_not_trusted(container, sftp, copied):
    hosts = container([]).secrets / SSH_HOSTS
    before = hosts.read_text()
    hosts.write_text("")
    try:
        found = work(container([sftp.url, BOX]), "list", say=print)
        assert re.search(r"it does not answer .*Host key verification failed", found[sftp.url]["trouble"])
        assert (found[sftp.url]["snapshots"], found[BOX]["trouble"]) == ([], "")
        assert found[BOX]["snapshots"], "a target that is away keeps the other from being listed"
    finally:
        hosts.write_text(before)
