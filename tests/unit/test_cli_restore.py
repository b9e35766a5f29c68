"""`mlinfn restore`: what it is given, where that lies meanwhile, and what is refused before anything starts."""

import os
import stat
import subprocess

import pytest
from typer.testing import CliRunner

from jupyterhub_mlinfn.cli import app, restore
from jupyterhub_mlinfn.errors import UserError


@pytest.fixture
def key(tmp_path):
    """A file with the key."""
    (tmp_path / "key").write_text("the key")
    return tmp_path / "key"


def test_the_key_is_in_memory_and_goes_when_its_command_has_died(key):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, used = (restore.MEMORY / f"mlinfn-restore-{pid}-x" for pid in (dead.pid, os.getpid()))
    left.mkdir()
    used.mkdir()
    with restore._secrets(key, None) as folder:
        assert (folder / "backup_key").read_text() == "the key\n"
        assert folder.is_relative_to("/dev/shm")
        assert not left.exists()
        assert used.exists()
    used.rmdir()
    assert not folder.exists()


def test_what_others_put_beside_the_key_is_left_alone(key, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    file, link, foreign = (restore.MEMORY / f"mlinfn-restore-{dead.pid}-{name}" for name in ("file", "link", "foreign"))
    file.touch()
    link.symlink_to(tmp_path)
    foreign.mkdir()
    os.chown(foreign, 1234, 1234)
    try:
        with restore._secrets(key, None):
            assert all(os.path.lexists(each) for each in (file, link, foreign))
    finally:
        file.unlink()
        link.unlink()
        foreign.rmdir()


@pytest.mark.parametrize(("word", "said"), [
    ("--key=typo", "file 'typo' does not exist"), ("--credentials=typo", "'typo' does not exist"),
    ("--key=.", "file '.' is a directory")])  # fmt: skip
def test_a_typing_error_is_said_in_a_sentence(word, said):
    done = CliRunner().invoke(app, ["restore", "--from=/mnt/copies", word])
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_nobody_else_reads_credentials_while_they_are_used(key, tmp_path):
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    for name in ("targets.ini", "ssh_key", "ssh_known_hosts", "rclone.conf", "backup_key", "notes.txt"):
        (given / name).write_text(f"{name} given")
        (given / name).chmod(0o644)
    known = {"targets.ini", "ssh_key", "ssh_known_hosts", "rclone.conf"}
    with restore._secrets(key, given) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
            known | {"backup_key"}, 0o600)  # fmt: skip
        assert (folder / "ssh_key").read_text() == "ssh_key given"
        assert (folder / "backup_key").read_text() == "the key\n"
    with restore._secrets(key, given / "targets.ini") as folder:
        assert stat.S_IMODE((folder / "targets.ini").stat().st_mode) == 0o600


def test_a_folder_without_credentials_is_another_than_was_meant(key, tmp_path):
    (tmp_path / "id_ed25519").touch()
    with pytest.raises(UserError, match=r"has none of targets\.ini, ssh_key"), restore._secrets(key, tmp_path):
        pass
