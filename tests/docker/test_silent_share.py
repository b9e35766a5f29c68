"""A target of backups on a network share whose server is down: nobody who looks at it comes back by himself."""

import ctypes
import os
import time
from pathlib import Path

import pytest

from jupyterhub_mlinfn.cli import backup_container, backup_service, machine
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.settings import Settings

pytestmark = pytest.mark.docker  # it takes seconds, and a mount
DETACH = 2
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def share(tmp_path):
    """A mount that nobody serves. Who is held up by it can be ended once it is gone."""
    folder = tmp_path / "nas"
    folder.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
    assert libc.mount(b"nas", bytes(folder), b"fuse", 0, options.encode()) == 0, os.strerror(ctypes.get_errno())
    yield folder
    libc.umount2(bytes(folder), DETACH)
    os.close(server)


@pytest.fixture
def settings(tmp_path, share):
    """Those of an instance with a target on the share, and one on a disk."""
    (tmp_path / "root/secrets/backup").mkdir(parents=True)
    (tmp_path / "disk").mkdir()
    return Settings(root=tmp_path / "root", backup={"targets": [f"{share}/copies", f"{tmp_path}/disk/copies"]})


def test_what_services_need_is_made_without_a_silent_share(settings, tmp_path):
    silent, other = settings.backup.targets
    began = time.monotonic()
    done = backup_service.ground(settings, tmp_path / "fstab")
    assert time.monotonic() - began < 20
    assert f"Nothing is copied to {silent}: it is not answering. When it is: mlinfn up" in done
    assert f"Made {other} for backups." in done
    assert silent not in (settings.root / backup_service.COMPOSE_FILE).read_text()


def test_the_doctor_names_a_silent_share(settings, tmp_path):
    assert machine.unmounted(settings, tmp_path) == {settings.backup.targets[0]: "it is not answering"}


def test_work_by_hand_goes_on_without_a_silent_share(settings, tmp_path):
    silent, other = settings.backup.targets
    Path(other).mkdir()
    container = backup_container.Container(Site(tmp_path / "mlinfn.yaml"), tmp_path, [silent, other, "s3:x"])
    words = container.words()
    assert [each for each in (silent, other) if any(f"source={each}" in word for word in words)] == [other]
    assert container.silent == [silent]
