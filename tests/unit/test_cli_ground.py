"""What `mlinfn prepare` makes: real folders, owners and a real mount, in a folder of the test's own. Needs root."""

import os
import stat
import subprocess

import pytest
from ruamel.yaml import YAML
from support.places import CHECKOUT

from jupyterhub_mlinfn import files
from jupyterhub_mlinfn.cli import backup_service, compose, env_file, facts, ground, put_back
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "mlinfn.yaml"
    path.write_text(f"instance: mlinfntest-ground\nroot: {tmp_path}/the root\nport: 18420\n"
                    f"backup: {{targets: ['{tmp_path}/copies']}}\n"
                    "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n")
    yield Site(path)
    subprocess.run(["umount", tmp_path / "the root" / "run"], capture_output=True)


@pytest.fixture
def fstab(tmp_path):
    (tmp_path / "fstab").write_text("# a comment\n/dev/sda1 / ext4 defaults 0 1")
    return tmp_path / "fstab"


def modes(folder):
    return {str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid)
            for path in folder.rglob("*")}


def test_prepare_makes_nothing_between_two_halves_of_a_restore(site, fstab):
    staging = put_back.staging(site.settings.root)
    (staging / put_back.COMPLETE).touch()
    with pytest.raises(OperatorError, match="interrupted"):
        ground.prepare(site, fstab=fstab)
    assert os.listdir(site.settings.root) == [staging.name]


def test_prepare_makes_everything_once(site, fstab):
    assert ground.prepare(site, fstab=fstab)
    root = site.settings.root
    first = modes(root), fstab.read_text(), (root / "secrets/hub/cookie_secret").read_text()
    assert ground.prepare(site, fstab=fstab) == []
    assert first == (modes(root), fstab.read_text(), (root / "secrets/hub/cookie_secret").read_text())
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    open_ones = {path for path, (mode, _) in modes(root).items() if mode & 0o077}
    assert open_ones == {"shared"}  # whose parent nobody enters but root
    assert stat.S_IMODE((root.parent / "copies").stat().st_mode) == 0o700
    assert files.is_tmpfs(root / "run")
    assert fstab.read_text().splitlines()[2].split()[:3] == ["tmpfs", f"{root}/run".replace(" ", "\\040"), "tmpfs"]


def test_each_secret_belongs_to_its_reader(site, fstab):
    ground.prepare(site, fstab=fstab)
    secrets = site.settings.root / "secrets"
    assert modes(secrets) == {
        "hub": (0o700, 0), "proxy": (0o700, 69001), "hub/proxy_token": (0o600, 0), "hub/cookie_secret": (0o600, 0),
        "hub/crypt_key": (0o600, 0), "proxy/proxy_token": (0o600, 69001), "backup": (0o700, 0),
        "hub/backup_export_token": (0o600, 0), "backup/backup_export_token": (0o600, 0),
        "backup/backup_key": (0o600, 0), "backup/targets.ini": (0o600, 0), "hub/backup_page_token": (0o600, 0),
        "backup-page": (0o700, 69006), "backup-page/backup_page_token": (0o600, 69006),
        "hub/prometheus_token": (0o600, 0), "hub/command_token": (0o600, 0), "prometheus": (0o700, 69007),
        "prometheus/prometheus_token": (0o600, 69007), "alertmanager": (0o700, 69009),
        "hub/grafana_token": (0o600, 0), "grafana": (0o700, 69010),
        "grafana/grafana_token": (0o600, 69010), "grafana/grafana_key": (0o600, 69010),
        "grafana/grafana_metrics": (0o600, 69010), "prometheus/grafana_metrics": (0o600, 69007),
    }
    assert (secrets / "hub/proxy_token").read_text() == (secrets / "proxy/proxy_token").read_text()
    values = [(secrets / "hub" / name).read_text().strip() for name in ("proxy_token", "cookie_secret", "crypt_key")]
    assert len(set(values)) == 3
    assert all(len(bytes.fromhex(value)) == 32 for value in values)


def test_service_that_not_everybody_has_shares_a_secret_with_the_hub():
    rooms = Settings(groups=["cms"], rooms=[{"name": "cms", "group": "cms"}], login="demo")
    assert ground.readers(Settings()) == ground.READERS
    readers = ground.readers(rooms)
    assert (readers["collab"], readers["demo"]) == ((69005, ("collab_token",)), (69002, ("demo_client_secret",)))
    assert set(readers["hub"][1]) == {*ground.READERS["hub"][1], "collab_token", "demo_client_secret"}
    profiles = ground.variables(rooms, CHECKOUT / "config" / "mlinfn.yaml")["COMPOSE_PROFILES"]
    assert profiles.split(",") == ["demo", "collab", "backup", "monitoring", "grafana"]


def test_prepare_mends_what_was_loosened_and_keeps_values(site, fstab):
    ground.prepare(site, fstab=fstab)
    root = site.settings.root
    token = (root / "secrets/hub/proxy_token").read_text()
    (root / "secrets/proxy/proxy_token").unlink()
    (root / "secrets/hub/crypt_key").chmod(0o644)
    root.chmod(0o755)
    done = ground.prepare(site, fstab=fstab)
    assert any("Closed" in each for each in done)
    assert any("Gave proxy" in each for each in done)
    assert (root / "secrets/proxy/proxy_token").read_text() == token
    assert modes(root / "secrets")["hub/crypt_key"] == (0o600, 0)


def test_a_folder_that_is_no_tmpfs_is_seen(tmp_path):
    assert not files.is_tmpfs(tmp_path)


def test_compose_gets_every_variable_that_it_reads():
    given = set(ground.variables(Settings(), CHECKOUT / "config" / "mlinfn.yaml"))
    example = (CHECKOUT / "compose" / "env.example").read_text().splitlines()
    assert given == {line.partition("=")[0] for line in example if "=" in line and not line.startswith("#")}


def test_the_example_of_compose_shows_the_defaults():
    lines = (CHECKOUT / "compose" / "env.example").read_text().splitlines()
    shown = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    config = CHECKOUT / "config" / "mlinfn.yaml"
    given = ground.variables(Settings(), config)
    differ = {name for name in shown if shown[name] != given[name]}
    assert differ <= {"MLINFN_CONFIG", "MLINFN_OOM_SCORE_ADJ", "MLINFN_WATCHED_FOLDER", "MLINFN_WATCHED_PROPAGATION"}


def test_services_are_those_of_compose():
    services = YAML(typ="safe").load(CHECKOUT / "compose" / "compose.yaml")["services"]
    assert tuple(services) == (*compose.SERVICES, *compose.PROFILES)
    assert compose.expected(Settings(login="demo")) == (*compose.SERVICES, compose.DEMO)


@pytest.mark.parametrize("root", ["/srv/a", "/srv/the root", "/srv/~a", "/srv/é", "/srv/a$HOME", "/srv/it's",
                                  "/srv/a\\'b'", '/srv/"a"', "/srv/a=b#c"])  # fmt: skip
def test_odd_paths_are_read_as_they_were_written(tmp_path, root):
    values = {"MLINFN_ROOT": root, "MLINFN_CONTACT": "", "COMPOSE_FILE": f"compose.yaml:{root}/more.yaml"}
    (tmp_path / "env").write_text(env_file.text(values))
    assert env_file.read(tmp_path / "env") == values


def test_compose_is_told_of_files_in_an_odd_root(site):
    root = site.settings.root
    root.mkdir()
    site.env_file.write_text(env_file.text(ground.variables(site.settings, site.config)))
    assert str(root / backup_service.COMPOSE_FILE) in compose.words(site)
    assert compose.BACKUP in compose.optional(site)


@pytest.mark.docker
@pytest.mark.parametrize("root", ["/srv/the root", "/srv/a$HOME", "/srv/it's"])
def test_odd_paths_reach_compose_as_they_are(tmp_path, root):
    (tmp_path / "env").write_text(env_file.text({"MLINFN_ROOT": root}))
    (tmp_path / "compose.yaml").write_text("services: {a: {image: a, environment: {ROOT: '${MLINFN_ROOT}'}}}\n")
    done = subprocess.run(["docker", "compose", "--env-file", "env", "config", "--format", "json"], cwd=tmp_path,
                          capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=True)
    assert YAML(typ="safe").load(done.stdout)["services"]["a"]["environment"]["ROOT"].replace("$$", "$") == root


def test_credentials_of_targets_that_others_can_read_are_said_and_closed(site, fstab):
    ground.prepare(site, fstab=fstab)
    folder = site.settings.root / "secrets/backup"
    for name, mode in (("targets.ini", 0o640), ("ssh_key", 0o644), ("rclone.conf", 0o604)):
        (folder / name).touch()
        (folder / name).chmod(mode)
    assert len(facts.loose_secrets(site.settings)) == 3
    ground.prepare(site, fstab=fstab)
    assert facts.loose_secrets(site.settings) == []


def test_the_key_is_shown_once_and_a_new_one_again(site, fstab):
    ground.prepare(site, fstab=fstab)
    key = site.settings.root / "secrets/backup/backup_key"
    assert not backup_service.key_was_shown(key.parent)
    assert put_back.key(site, again=False) == key.read_text().strip()
    assert put_back.key(site, again=False) == ""
    assert put_back.key(site, again=True) == key.read_text().strip()
    key.write_text("another\n")
    assert not backup_service.key_was_shown(key.parent)
    assert put_back.key(site, again=False) == "another"
