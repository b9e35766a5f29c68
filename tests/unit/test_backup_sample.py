"""Restored files are compared with those that are there, as far as these are still what was copied."""

import os
from datetime import datetime, timezone

import pytest

from jupyterhub_mlinfn.backup import sample
from jupyterhub_mlinfn.backup.trouble import Trouble


@pytest.fixture
def file(tmp_path):
    """A file of four bytes, and the folder with what was restored of it."""
    path = tmp_path / "file"
    path.write_text("then")
    return path


def node(path):
    """The file as restic lists it."""
    status = path.stat()
    times = {name: _time(getattr(status, f"st_{name}_ns")) for name in ("mtime", "ctime")}
    return {"path": str(path), "type": "file", "size": status.st_size, **times}


def _time(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def restored(tmp_path, file, text):
    copy = tmp_path / "scratch" / str(file).lstrip("/")
    copy.parent.mkdir(parents=True)
    copy.write_text(text)
    return tmp_path / "scratch"


def test_a_file_that_is_still_the_same_is_compared(tmp_path, file):
    assert sample._compared("u", node(file), restored(tmp_path, file, "then"), "")


@pytest.mark.parametrize("text", ["them", "longer"])
def test_a_restored_file_that_differs_is_damage(tmp_path, file, text):
    with pytest.raises(Trouble) as told:
        sample._compared("u", node(file), restored(tmp_path, file, text), "")
    assert told.value.reason == "damaged"


def test_a_file_that_is_drawn_again_is_read_again(tmp_path, file):
    scratch, then = restored(tmp_path, file, "then"), file.stat()
    copy = scratch / str(file).lstrip("/")
    os.utime(copy, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert sample._compared("u", node(file), scratch, "")
    copy.write_text("them")
    os.utime(copy, ns=(then.st_atime_ns, then.st_mtime_ns))
    with pytest.raises(Trouble, match="differs"):
        sample._compared("u", node(file), scratch, "")


def test_a_file_that_was_changed_is_no_damage_also_with_its_time_set_back(tmp_path, file):
    before, listed = file.stat(), node(file)
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_text("now!")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not sample._compared("u", listed, restored(tmp_path, file, "then"), "")
