"""What `login: demo` and `login: iam` need on the host, and what a keeper is told. Needs root, as `mlinfn prepare`."""

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyterhub_mlinfn import demo, passwords
from jupyterhub_mlinfn.cli import facts, ground
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.identity import Subjects

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
MLINFN = Path(sys.executable).with_name("mlinfn")
IAM = "login: iam\niam: {issuer: https://iam.example.org}\n"


@pytest.fixture
def site(tmp_path):
    """Call it with lines of settings; again for the same site with others."""

    def make(lines):
        path = tmp_path / "mlinfn.yaml"
        path.write_text(f"instance: mlinfntest-demo\nroot: {tmp_path}/root\nport: 18460\n{lines}"
                        "backup: {targets: []}\nmonitoring: {enabled: false}\n"
                        "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n")
        return Site(path)

    yield make
    subprocess.run(["umount", tmp_path / "root" / "run"], capture_output=True)


@pytest.fixture
def prepared(site, tmp_path):
    """Call it with lines of settings for a site that `mlinfn prepare` has made ready."""

    def make(lines):
        made = site(lines)
        ground.prepare(made, fstab=tmp_path / "fstab")
        return made

    return make


def mlinfn(site, *words, typed=""):
    return subprocess.run([MLINFN, "--config", site.config, *words], input=typed, capture_output=True, text=True,
                          timeout=60)


def owner_and_mode(path):
    return path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)


def matches(password, kept):
    _, cost, block, lanes, salt, key = kept.split("$")
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(cost), r=int(block),
                          p=int(lanes)).hex() == key


def test_the_demo_has_files_that_only_it_and_the_hub_read(prepared):
    root = prepared("login: demo\n").settings.root
    assert owner_and_mode(root / "demo") == (69002, 0o700)
    assert owner_and_mode(root / "secrets/demo") == (69002, 0o700)
    for name in ("demo_client_secret", "people.json"):
        assert owner_and_mode(root / "secrets/demo" / name) == (69002, 0o600)
    assert owner_and_mode(root / "secrets/hub/demo_client_secret") == (0, 0o600)
    secrets = {(root / "secrets" / reader / "demo_client_secret").read_text() for reader in ("hub", "demo")}
    assert len(secrets) == 1
    assert "COMPOSE_PROFILES=demo\n" in (root / "compose.env").read_text()


def test_the_demo_is_made_once(prepared, tmp_path):
    site = prepared("login: demo\n")
    people = demo.people_file(site.settings).read_text()
    assert ground.prepare(site, fstab=tmp_path / "fstab") == []
    assert demo.people_file(site.settings).read_text() == people
    assert facts.loose_secrets(site.settings) == []


def test_people_who_others_could_read_are_named_and_closed_again(prepared, tmp_path):
    site = prepared("login: demo\n")
    demo.people_file(site.settings).chmod(0o644)
    (said,) = facts.loose_secrets(site.settings)
    assert "people.json" in said
    ground.prepare(site, fstab=tmp_path / "fstab")
    assert facts.loose_secrets(site.settings) == []


def test_without_the_demo_nothing_of_it_is_there(prepared):
    root = prepared("").settings.root
    assert not list(root.rglob("*demo*"))
    assert "COMPOSE_PROFILES=\n" in (root / "compose.env").read_text()


def test_four_people_get_random_passwords_that_are_printed_once(prepared):
    site = prepared("login: demo\n")
    first = json.loads(mlinfn(site, "demo", "passwords", "--json").stdout)
    people = json.loads(demo.people_file(site.settings).read_text())
    assert {each["name"]: each["groups"] for each in first} == {
        "demo-member": ["demo"], "demo-keeper": ["demo", "demo/keepers"], "demo-other": ["other"], "demo-nobody": []}
    assert len({each["password"] for each in first} | {each["sub"] for each in people.values()}) == 8
    assert all(matches(each["password"], people[each["name"]]["hash"]) for each in first)
    assert not any(each["password"] in demo.people_file(site.settings).read_text() for each in first)
    assert json.loads(mlinfn(site, "demo", "passwords", "--json").stdout) == []
    assert "--renew" in mlinfn(site, "demo", "passwords").stdout
    assert json.loads(demo.people_file(site.settings).read_text()) == people


def test_lost_passwords_are_renewed_and_people_stay_who_they_are(prepared):
    site = prepared("login: demo\n")
    first = demo.give_passwords(site.settings, renew=False)
    subjects = {name: each["sub"] for name, each in demo.read(site.settings).items()}
    said = mlinfn(site, "demo", "passwords", "--renew").stdout
    people = demo.read(site.settings)
    assert {name: each["sub"] for name, each in people.items()} == subjects
    assert not any(password in said for password in first.values())
    shown = dict(line.split()[:2] for line in said.splitlines() if line.startswith("demo-"))
    assert all(matches(shown[name], people[name]["hash"]) for name in first)
    assert owner_and_mode(demo.people_file(site.settings)) == (69002, 0o600)


def test_people_with_passwords_are_never_locked_out_by_the_example(prepared, site, tmp_path):
    settings = prepared("").settings
    anna = passwords.Person(passwords.hashed("a long password"), False, ())
    passwords.change(settings.root / "hub/passwords.json", lambda people: passwords.added(people, "anna", anna))
    switched = site("login: demo\n")
    with pytest.raises(OperatorError, match=r"anna.*Write `login: local`"):
        ground.prepare(switched, fstab=tmp_path / "fstab")
    assert not list(settings.root.rglob("*demo*"))


def test_iam_without_a_client_is_stopped_with_what_to_do(prepared, site, tmp_path):
    with pytest.raises(OperatorError, match=r"http://localhost:18460/hub/oauth_callback.*mlinfn iam client"):
        prepared(IAM)
    settings = site(IAM).settings
    for name in ("iam_client_id", "iam_client_secret"):
        (settings.root / "secrets/hub" / name).write_text("x\n")
    assert ground.prepare(site(IAM), fstab=tmp_path / "fstab") == []


@pytest.mark.parametrize(("lines", "words"), [
    ("login: demo\n", "add anna"), ("login: demo\n", "list"), (IAM, "password anna"), (IAM, "change anna --admin"),
    (IAM, "remove anna"),
], ids=["demo: add", "demo: list", "iam: password", "iam: change", "iam: remove"])  # fmt: skip
def test_people_of_an_identity_service_are_not_added_here(site, lines, words):
    done = mlinfn(site(lines), "users", *words.split())
    assert done.returncode == 2
    assert "people come from the identity service" in done.stderr


def test_a_name_is_handed_over_by_the_keeper(prepared):
    site = prepared("login: demo\n")
    book = Subjects(site.settings.root / "hub/identity.sqlite")
    book.claim("anna", "https://iam.example.org", "1")
    done = mlinfn(site, "users", "relink", " Anna ")
    assert done.returncode == 0, done.stderr
    assert "labs stop" in done.stdout
    book.claim("anna", "https://iam.example.org", "2")
    done = mlinfn(site, "users", "relink", "boris")
    assert done.returncode == 2
    assert "the name is free" in done.stderr


def test_name_with_an_accent_is_found_however_it_is_typed(prepared):
    site = prepared("login: demo\n")
    Subjects(site.settings.root / "hub/identity.sqlite").claim("jos\u00e9", "https://iam.example.org", "1")
    assert mlinfn(site, "users", "relink", "JOSE\u0301").returncode == 0
    assert "control characters" in mlinfn(site, "users", "relink", "a\u202eb").stderr


def test_names_of_local_people_are_not_relinked(site):
    done = mlinfn(site(""), "users", "relink", "anna")
    assert done.returncode == 2
    assert "mlinfn users password anna" in done.stderr
