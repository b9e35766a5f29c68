"""The machine is lost, and everything comes back from S3: the stack with its backups, to the last byte."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect
from support import backups, secrecy
from support.backups import answered, mlinfn, picture
from support.browser import log_in
from support.stack import running
from support.wait import until

pytestmark = pytest.mark.stack
SAVE = "import pathlib\npathlib.Path('/home/anna/last.txt').write_text('the last cell')"


@pytest.fixture(scope="module")
def stack(engine, images, s3, tmp_path_factory, request):
    """A stack that copies to a folder and to S3; a member has worked in a lab, and others have odd files."""
    folder = tmp_path_factory.mktemp("stack")
    with running(folder, engine, request, backup={"targets": [str(folder / "copies"), s3.url]}) as stack:
        secrecy.run.keep((stack.root / "secrets/backup/backup_key").read_text().strip())
        (stack.root / "secrets/backup/targets.ini").write_text(s3.credentials)
        stack.add_user("anna")
        stack.api.start("anna", memory="512M", cpus="1").run(SAVE)
        stack.api.stop("anna")
        backups.fill(stack.root)
        (stack.root / "users/zoe/large").write_bytes(os.urandom(3 << 20))
        yield stack


@pytest.fixture(scope="module")
def copied(stack):
    """What a run by hand said of each target."""
    until(lambda: idle(stack), 120, "the first run of the service to end")
    return answered(stack.config, "backup", "run")


def known(stack) -> list[dict]:
    return requests.get(f"http://127.0.0.1:{stack.port + 8}/", timeout=5).json()


def idle(stack) -> bool:
    """Whether no run goes on."""
    return all(each["ended"] for each in known(stack))


def test_a_run_copies_everything_to_every_target(stack, copied):
    assert [(each["reason"], each["stale"]) for each in copied] == [("", ""), ("", "")], copied
    for each in copied:
        assert set(each["kinds"]) == {"homes", "groups", "shared", "rooms", "service"}
        assert not any(kind["unread"] for kind in each["kinds"].values())
        assert each["verified_files"]
    listed = answered(stack.config, "backup", "list", "--kind", "homes")
    assert all(each["snapshots"][-1]["files"] > 10 for each in listed.values())


def test_the_service_reads_all_and_changes_nothing(stack, copied):
    container = stack.service("backup")
    status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
    assert int(dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)["CapBnd"], 16) == 1 << 2
    assert container.exec_run(["touch", "/data/homes/zoe/x"]).exit_code
    assert container.exec_run(["test", "-e", "/var/run/docker.sock"]).exit_code
    text = requests.get(f"http://127.0.0.1:{stack.port + 8}/metrics", timeout=5).text
    assert len(re.findall(r"^mlinfn_backup_up\{.*\} 1\.0$", text, re.MULTILINE)) == 2
    assert ("127.0.0.1", 8) in stack.listening()


def test_a_keeper_gets_files_back_beside_what_is_there(stack, copied, tmp_path):
    to = tmp_path / "back"
    answered(stack.config, "backup", "restore", "homes/zoe", "--to", str(to))
    assert (to / "closed").read_text() == "mine alone\n"
    assert (to / "closed").stat().st_uid == backups.ZOE
    assert not (to / "scratch/large").exists()
    assert mlinfn(stack.config, "backup", "restore", "homes/zoe", "--to", str(to)).returncode == 2
    refused = mlinfn(stack.config, "backup", "restore", "homes/nobody", "--to", str(tmp_path / "none"))
    assert (refused.returncode, os.listdir(tmp_path)) == (2, ["back"])


def test_the_key_is_shown_once_and_a_copy_of_it_can_be_tried(stack, copied):
    key = answered(stack.config, "backup", "key")["key"]
    assert len(key) == 64
    assert answered(stack.config, "backup", "key") == {"key": ""}
    assert set(answered(stack.config, "backup", "key", "--check", typed=f"{key}\n").values()) == {""}
    wrong = mlinfn(stack.config, "backup", "key", "--check", typed="x\n")
    assert (wrong.returncode, wrong.stdout.count("does not open it")) == (1, 2)


@pytest.mark.browser
def test_a_member_gets_a_notebook_of_yesterday_back(stack, copied, new_page):
    """In four clicks from the hub's first page: the link, the list of dates, a date, Restore."""
    notebook = stack.root / "users/anna/fit.ipynb"
    uid = notebook.parent.stat().st_uid
    notebook.write_text('{"cells": []}')
    os.chown(notebook, uid, uid)
    answered(stack.config, "backup", "run")
    move_to_yesterday(stack)
    notebook.unlink()

    page, hub = new_page(), f"http://localhost:{stack.port}/hub/"
    log_in(page, hub, "anna", stack.passwords["anna"])
    page.goto(f"{hub}home")
    page.click("#backups")
    dates = page.get_by_label("As they were")
    yesterday = dates.locator("option", has_text="Yesterday")
    expect(yesterday).to_have_count(1)
    dates.select_option(value=yesterday.get_attribute("value"))
    page.get_by_role("button", name="Restore fit.ipynb").click()
    expect(page.locator("#result")).to_contain_text("1 file is back")

    (restored,) = (stack.root / "users/anna/restored").iterdir()
    (file,) = (path for path in restored.rglob("*") if path.is_file())
    assert (file.relative_to(restored), file.read_text()) == (Path("home/fit.ipynb"), '{"cells": []}')
    assert {path.stat().st_uid for path in (restored, file)} == {uid}
    answered(stack.config, "backup", "run")


def test_the_machine_is_lost_and_everything_comes_back(stack, copied, s3, tmp_path):
    before, settings = picture(stack.root), stack.config.read_text()
    secret = {path.name: path.read_text() for path in (stack.root / "secrets/hub").iterdir()}
    (tmp_path / "key").write_text((stack.root / "secrets/backup/backup_key").read_text())
    (tmp_path / "credentials").write_text(s3.credentials)
    with backups.decayed(stack.folder / "copies", stack.root / "backup/cache", lists=False):
        lose(stack)
        what_is_left_comes_back(stack, tmp_path / "key", settings)
    given = ("--key", str(tmp_path / "key"), "--credentials", str(tmp_path / "credentials"))
    words = ("restore", "--from", s3.url, *given)
    other = stack.root / "users/somebody/else.txt"
    other.parent.mkdir(parents=True)
    other.write_text("was here before")
    earlier = Path(answered(stack.config, *words)["before"])
    assert (earlier / "users/somebody/else.txt").read_text() == "was here before"
    assert picture(stack.root) == before
    assert stack.config.read_text() == settings
    assert {path.name: path.read_text() for path in (stack.root / "secrets/hub").iterdir()} == secret
    stack.prepare()
    stack.up()
    until(lambda: {each["reason"] for each in known(stack)} == {"machine"}, 60, "both targets to be another machine's")
    assert answered(stack.config, "backup", "adopt", s3.url)["repository"]
    lab = stack.api.start("anna", memory="512M", cpus="1")
    assert lab.run("print(open('/home/anna/last.txt').read())") == "the last cell\n"


def test_a_keeper_checks_a_target_and_has_a_snapshot_forgotten(stack, copied, s3):
    def listed():
        return answered(stack.config, "backup", "list", "--target", s3.url, "--kind", "shared")[s3.url]["snapshots"]

    assert answered(stack.config, "backup", "check", "--target", s3.url, "--read", "10%")[s3.url]["trouble"] == ""
    old = listed()[0]["id"]
    (gone,) = answered(stack.config, "backup", "forget", old, "--target", s3.url)["gone"]
    assert gone["kind"] == "shared"
    assert old not in [each["id"] for each in listed()]


def what_is_left_comes_back(stack, key: Path, settings: str) -> None:
    """A damaged target gives all but what it has lost, once that is said to be right; then it is lost again."""
    words = ("restore", "--from", str(stack.folder / "copies"), "--key", str(key))
    refused = mlinfn(stack.config, *words)
    assert refused.returncode == 1
    assert "lost homes/zoe/large. Nothing was changed." in refused.stderr
    assert "--partial" in refused.stderr
    assert os.listdir(stack.root) == [".restoring"]
    assert answered(stack.config, *words, "--partial")["missing"] == ["homes/zoe/large"]
    assert (stack.root / "not-restored.txt").read_text().endswith("\nhomes/zoe/large\n")
    assert (stack.root / "users/zoe/closed").read_text() == "mine alone\n"
    assert not (stack.root / "users/zoe/large").exists()
    assert stack.config.read_text() == settings
    shutil.rmtree(stack.root)
    stack.config.unlink()


def lose(stack) -> None:
    """Nothing of the machine's data is left, nor a container of it."""
    stack.compose("down", "--timeout", "5")
    subprocess.run(["umount", str(stack.root / "run")], check=True)
    shutil.rmtree(stack.root)
    stack.config.unlink()


def move_to_yesterday(stack) -> None:
    """The newest copy of the homes in the folder is one of a day ago."""
    copies = str(stack.folder / "copies")
    listed = answered(stack.config, "backup", "list", "--kind", "homes")[copies]["snapshots"]
    yesterday = (datetime.now() - timedelta(days=1)).strftime("%Y-%m-%d 03:00:00")
    words = ["restic", "--password-file=/run/secrets/backup_key", f"--repo={copies}", "--no-cache", "rewrite",
             f"--new-time={yesterday}", "--forget", listed[-1]["id"]]  # fmt: skip
    done = stack.service("backup").exec_run(words)
    assert done.exit_code == 0, done.output
