"""Folders that are targets: the one of a disk that is not mounted is neither made nor filled."""

import pytest

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.cli import backup_folders, backup_service
from jupyterhub_mlinfn.cvmfs.mounts import Mounted
from jupyterhub_mlinfn.settings import Settings

ROOT = Mounted("/", "ext4", False, True)


@pytest.fixture
def site(tmp_path):
    """Settings with a target in a folder in which a disk can be mounted."""
    (tmp_path / "root/secrets/backup").mkdir(parents=True)
    (tmp_path / "nas").mkdir()
    return Settings(root=tmp_path / "root", backup={"targets": [f"{tmp_path}/nas/copies", "s3:x"]})


@pytest.fixture
def fstab(tmp_path):
    """A line for the disk of the target, after one that is nobody's."""
    return tmp_path / "fstab"


def away(settings, fstab="", *mounted):
    return list(backup_folders.away(settings, fstab, (ROOT, *mounted)).values())


def test_the_folder_of_a_first_copy_is_made(site, fstab):
    assert away(site) == []
    assert any("Made" in each for each in backup_service.ground(site, fstab))
    assert (site.root.parent / "nas/copies").is_dir()
    assert "/nas/copies" in (site.root / backup_service.COMPOSE_FILE).read_text()


def test_a_folder_that_has_copies_is_not_made_again(site, fstab):
    url = site.backup.targets[0]
    state.save(site.root / "backup", state.State(url, repository="r"))
    (said,) = [each for each in backup_service.ground(site, fstab) if each.startswith("Nothing")]
    assert said == f"Nothing is copied to {url}: it is not there any more, and has copies. When it is: mlinfn up"
    assert not (site.root.parent / "nas/copies").exists()
    assert "/nas/copies" not in (site.root / backup_service.COMPOSE_FILE).read_text()


def test_a_disk_of_fstab_that_is_not_mounted_is_said(site, tmp_path):
    line = f"# UUID=2 /mnt\n/dev/sda2 none swap sw 0 0\nnas:/x {tmp_path}/nas/ nfs defaults 0 0\n"
    assert away(site, line) == [f"{tmp_path}/nas of /etc/fstab is not mounted"]
    (tmp_path / "nas/copies").mkdir()
    assert away(site, line) == [f"{tmp_path}/nas of /etc/fstab is not mounted"]
    assert away(site, line, Mounted(f"{tmp_path}/nas", "nfs4", False, True)) == []
    assert away(site, line.replace("/nas/ ", "/else ")) == []


def test_no_parent_is_made(site, tmp_path):
    (tmp_path / "nas").rmdir()
    assert away(site) == [f"{tmp_path}/nas is not there"]
