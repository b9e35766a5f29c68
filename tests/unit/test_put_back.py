"""Restored data takes the place of what was there, all of it or nothing, whatever comes between."""

import csv
import os
import shutil
import subprocess

import pytest
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import backup_service, put_back
from jupyterhub_mlinfn.cli.backup_container import Container
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.settings_backup import KINDS

MOMENT = "2026-11-24T03:00:00Z"


@pytest.fixture
def config(tmp_path):
    return tmp_path / "etc/mlinfn.yaml"


@pytest.fixture
def root(tmp_path):
    """A root in which something was, with everything restored beside it."""
    root = tmp_path / "root"
    (root / "users/old").mkdir(parents=True)
    folder = put_back.staging(root)
    for kind in KINDS:
        (folder / kind).mkdir()
    for path, text in (("homes/anna/a", "a"), ("service/hub/export/identity.sqlite", "book"),
                       ("service/secrets/hub/token", "t"), ("service/settings/mlinfn.yaml", "new")):  # fmt: skip
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return root


def all_is_back(root, config):
    return ((root / "users/anna/a").read_text(), (root / "hub/identity.sqlite").read_text(),
            (root / "secrets/hub/token").read_text(), config.read_text(), os.listdir(root / ".before-restore/users"),
            (root / ".restoring").exists()) == ("a", "book", "t", "new", ["old"], False)  # fmt: skip


def test_restored_folders_take_the_place_of_those_before(root, config):
    put_back.complete(root, MOMENT)
    assert put_back.swap(root, config) == root / ".before-restore"
    assert all_is_back(root, config)


def test_nothing_changes_before_everything_is_there(root):
    (root / ".restoring/rooms").rmdir()
    with pytest.raises(OperatorError, match="no rooms, so it is no whole one"):
        put_back.complete(root, MOMENT)
    assert not put_back.is_complete(root)
    assert os.listdir(root / "users") == ["old"]


def test_a_backup_without_the_databases_is_no_whole_one(root):
    (root / ".restoring/service/hub/export/identity.sqlite").unlink()
    with pytest.raises(OperatorError, match="nobody would have their uid"):
        put_back.complete(root, MOMENT)
    assert not put_back.is_complete(root)


def test_a_copy_that_the_hub_had_only_begun_is_no_database(root):
    export = root / ".restoring/service/hub/export"
    (export / "identity.sqlite").rename(export / ".identity.sqlite")
    with pytest.raises(OperatorError, match="nobody would have their uid"):
        put_back.complete(root, MOMENT)
    (export / "identity.sqlite").touch()
    put_back.complete(root, MOMENT)
    assert [path.name for path in export.parent.iterdir() if path.is_file()] == ["identity.sqlite"]


LOST = [f"homes/anna/{number}" for number in range(4)]
OF = "/mnt/copies, one, 2026-11-24T03:00:00Z"


def test_what_is_lost_is_left_out_only_with_the_word_for_it(root, config):
    put_back.note(root / ".restoring/not-restored.txt", OF, LOST)
    with pytest.raises(OperatorError, match=r"lost homes/anna/0, .* and 1 more .*not-restored\.txt.* --partial"):
        put_back.complete(root, MOMENT)
    assert os.listdir(root / "users") == ["old"]
    assert put_back.came(root, OF)
    assert not put_back.came(root, OF.replace("one", "two"))
    put_back.complete(root, MOMENT, partial=True)
    put_back.swap(root, config)
    assert all_is_back(root, config)
    assert put_back.noted(root / "not-restored.txt") == LOST


def test_an_interruption_while_the_disk_takes_everything_loses_nothing_that_came(root, config):
    put_back.note(root / ".restoring/not-restored.txt", OF, LOST)
    put_back.complete(root, MOMENT, partial=True)
    (root / ".restoring/complete").unlink()
    assert put_back.came(root, OF)
    put_back.complete(root, MOMENT, partial=True)
    put_back.swap(root, config)
    assert all_is_back(root, config)


def test_a_whole_restore_leaves_no_list_of_an_earlier_one(root, config):
    put_back.note(root / "not-restored.txt", OF, LOST)
    put_back.complete(root, MOMENT, partial=True)
    assert put_back.noted(root / "not-restored.txt") == []


@pytest.mark.parametrize("lost", ["service/hub/export/identity.sqlite", "service/hub/export", "service"])
def test_without_the_book_of_uids_nothing_is_swapped_whatever_was_said(root, lost):
    put_back.note(root / ".restoring/not-restored.txt", OF, [lost])
    with pytest.raises(OperatorError, match="nobody would have their uid"):
        put_back.complete(root, MOMENT, partial=True)


def test_odd_names_are_one_line_each(tmp_path):
    put_back.note(tmp_path / "list", OF, ["homes/new\nline", "homes/ünï"])
    assert put_back.noted(tmp_path / "list") == [r"homes/new\nline", "homes/ünï"]


def test_nothing_starts_between_two_halves_of_a_swap(root, config):
    put_back.refuse_half_done(root)
    put_back.complete(root, MOMENT)
    with pytest.raises(OperatorError, match="mlinfn restore, with the same words"):
        put_back.refuse_half_done(root)
    assert put_back.moment(root) == MOMENT
    put_back.swap(root, config)
    put_back.refuse_half_done(root)


@pytest.mark.parametrize("done", range(1, 5))
def test_a_swap_that_was_interrupted_is_finished(root, config, done):
    put_back.complete(root, MOMENT)
    for name in list(put_back.PLACES)[:done]:
        put_back._exchange(root / ".restoring" / name, root / put_back.PLACES[name], root / ".before-restore")
    assert put_back.is_complete(root)
    put_back.swap(root, config)
    assert all_is_back(root, config)


def test_settings_that_differ_are_kept_beside_the_restored_ones(root, config):
    config.parent.mkdir()
    config.write_text("other")
    put_back.complete(root, MOMENT)
    put_back.swap(root, config)
    assert (config.read_text(), config.with_name("mlinfn.yaml.before-restore").read_text()) == ("new", "other")


@pytest.fixture
def hatch(root, tmp_path):
    """The folder of which the hub loads files, with one of another time; the one to come has another file."""
    for folder, name in ((tmp_path / "loaded", "10-later.py"), (root / f".restoring/{HATCH}", "10-own.py")):
        folder.mkdir(parents=True)
        (folder / name).write_text(name)
        (folder / "README.md").write_text(name)
    return tmp_path / "loaded"


HATCH = "service/settings/jupyterhub_config.d"
OWN = Site(CHECKOUT / "config/mlinfn.yaml")


def test_the_hub_loads_what_it_loaded_then_and_nothing_else(root, hatch):
    for _ in range(2):  # going on after an interruption changes nothing
        assert put_back.hatch(OWN, root, hatch) is None
        assert [each.name for each in hatch.glob("*.py")] == ["10-own.py"]
    assert os.listdir(root / ".before-restore") == ["loaded"]
    assert (root / ".before-restore/loaded/10-later.py").read_text() == "10-later.py"


def test_the_hub_goes_on_with_what_it_loads_where_that_is_what_it_loaded_then(root, hatch):
    (hatch / "10-later.py").rename(hatch / "10-own.py")
    (hatch / "10-own.py").write_text("10-own.py")
    assert put_back.hatch(OWN, root, hatch) is None
    assert (hatch / "README.md").read_text() == "10-later.py"
    assert not (root / ".before-restore").exists()


def test_settings_elsewhere_leave_what_all_instances_load_and_keep_what_was_restored(root, config, hatch):
    for _ in range(2):
        place = put_back.hatch(Site(config), root, hatch)
        assert (place.parent, (place / "10-own.py").read_text()) == (config.parent, "10-own.py")
    assert sorted(os.listdir(hatch)) == ["10-later.py", "README.md"]
    assert not (root / ".before-restore").exists()


def test_a_folder_appears_when_it_is_whole(tmp_path):
    to = tmp_path / "back"
    with pytest.raises(FileNotFoundError), put_back.beside(to) as folder:
        (folder / "no such folder/x").touch()
    assert os.listdir(tmp_path) == []
    with put_back.beside(to) as folder:
        (folder / "x").touch()
        assert not to.exists()
    assert os.listdir(to) == ["x"]
    with pytest.raises(UserError, match="there already"), put_back.beside(to):
        pass


def test_two_restores_do_not_fill_one_folder(tmp_path):
    to = tmp_path / "back"
    with put_back.beside(to) as folder:
        (folder / "x").touch()
        with pytest.raises(OperatorError, match="Another restore"), put_back.beside(to):
            pass
        assert (folder / "x").exists()
    assert os.listdir(to) == ["x"]


@pytest.mark.parametrize("gone", ["service", "service/settings/mlinfn.yaml"])
def test_a_swap_that_was_interrupted_while_it_cleaned_up_is_finished(root, config, gone):
    put_back.complete(root, MOMENT)
    for name, place in put_back.PLACES.items():
        if (root / ".restoring" / name).is_dir():
            put_back._exchange(root / ".restoring" / name, root / place, root / ".before-restore")
    put_back._settings(root / ".restoring/service/settings", config)
    path = root / ".restoring" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    put_back.swap(root, config)
    assert all_is_back(root, config)


@pytest.fixture
def mounted(tmp_path):
    """A folder of the root that is a disk of its own."""
    (tmp_path / "users").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "users"], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path / "users"], check=True)


def test_mounts_are_not_swapped(mounted, tmp_path):
    with pytest.raises(OperatorError, match="users: mounts of their own"):
        put_back.refuse_mounts(mounted)
    put_back.refuse_mounts(tmp_path / "users")


def mounts_of(words: list[str]) -> list[list[str]]:
    """The fields of each mount, as Docker reads them."""
    return list(csv.reader(each.removeprefix("--mount=") for each in words if each.startswith("--mount=")))


def test_a_container_may_change_files_only_where_some_are_restored(tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    looks = Container(Site(tmp_path / "x"), tmp_path, [str(copies), "/mnt/away", "s3:x"]).words()
    assert [each for each in looks if each.startswith("--cap")] == ["--cap-drop=ALL", "--cap-add=DAC_READ_SEARCH"]
    secrets = ["type=bind", f"source={tmp_path}", "target=/run/secrets", "readonly"]
    assert mounts_of(looks) == [secrets, ["type=bind", f"source={copies}", f"target={copies}"]]
    into = tmp_path / 'of 15:00, "so"'
    restores = Container(Site(tmp_path / "x"), tmp_path, ["s3:x"], into=into).words()
    assert {"--cap-add=CHOWN", "--cap-add=FOWNER", "--read-only"} < set(restores)
    assert mounts_of(restores) == [secrets, ["type=bind", f"source={into}", "target=/restored"]]
    assert not any("docker.sock" in each for each in restores)


def test_no_restore_removes_what_an_earlier_one_replaced(root, config):
    put_back.complete(root, MOMENT)
    put_back.swap(root, config)
    (root / "users/anna/a").write_text("of today")
    folder = put_back.staging(root)
    for kind in KINDS:
        (folder / kind).mkdir()
    (folder / "service/hub/export").mkdir(parents=True)
    (folder / "service/hub/export/identity.sqlite").touch()
    put_back.complete(root, MOMENT)
    put_back.swap(root, config)
    assert os.listdir(root / ".before-restore/users") == ["old"]
    assert (root / ".before-restore/users.2/anna/a").read_text() == "of today"


def test_a_swap_interrupted_in_a_folder_loses_nothing_when_prepare_made_an_empty_one(root, config):
    put_back.complete(root, MOMENT)
    (root / ".before-restore").mkdir()
    (root / "users").rename(root / ".before-restore/users")
    (root / "users").mkdir()
    put_back.swap(root, config)
    assert all_is_back(root, config)


def test_days_are_those_of_this_machine_in_every_container(tmp_path):
    zone = backup_service.time_zone()
    assert f"--env=TZ={zone}" in Container(Site(tmp_path / "x"), tmp_path, ["s3:x"]).words()


def test_nothing_is_swapped_under_a_running_lab():
    lab = {"Name": "/jupyter-anna", "State": {"Running": True}}
    with pytest.raises(OperatorError, match=r"jupyter-anna of one .* mlinfn down --labs"):
        put_back.refuse_running("one", [{"Name": "/one-hub", "State": {"Running": False}}, lab])
    put_back.refuse_running("one", [{**lab, "State": {"Running": False}}])
