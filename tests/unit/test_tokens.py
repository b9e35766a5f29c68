"""Token files of labs: real files and owners, a reader that never sees a half one, and the program that prints them."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import CHECKOUT

from jupyterhub_mlinfn import tokens
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.identity import Person
from jupyterhub_mlinfn.member import MemberSpawner

ANNA = Person("anna", "anna", 70001)
PROGRAM = CHECKOUT / "images/lab/bin/mlinfn-token"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["open", "usual", "closed"])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_file_is_the_members_alone_in_a_folder_that_they_can_only_read(root, umask):
    assert tokens.write(root, ANNA, "", "secret")
    folder = tokens.folder(root, ANNA)
    file, around = (folder / "bearer_token").stat(), folder.stat()
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid) == (0o400, 70001, 70001)
    assert (stat.S_IMODE(around.st_mode), around.st_uid) == (0o755, 0)
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    assert (folder / "bearer_token").read_text() == "secret"


def test_same_token_is_not_written_again(root):
    assert tokens.write(root, ANNA, "", "one")
    inode = (tokens.folder(root, ANNA) / "bearer_token").stat().st_ino
    assert not tokens.write(root, ANNA, "", "one")
    assert (tokens.folder(root, ANNA) / "bearer_token").stat().st_ino == inode
    assert tokens.write(root, ANNA, "", "two")


def test_reader_always_finds_a_whole_token(root):
    whole = {letter * 5000 for letter in "abcdefgh"}
    tokens.write(root, ANNA, "", "a" * 5000)
    path, seen, stop = tokens.folder(root, ANNA) / "bearer_token", [], threading.Event()

    def read():
        while not stop.is_set():
            seen.append(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        for token in whole:
            tokens.write(root, ANNA, "", token)
    stop.set()
    reader.join()
    assert len(seen) > 50
    assert set(seen) <= whole
    assert os.listdir(path.parent) == ["bearer_token"]


def test_folder_that_is_a_link_is_refused(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "run/labs").mkdir()
    tokens.folder(root, ANNA).symlink_to(elsewhere)
    with pytest.raises(OperatorError, match="bearer_token cannot be written"):
        tokens.write(root, ANNA, "", "secret")
    assert list(elsewhere.iterdir()) == []


def test_missing_run_folder_is_said(tmp_path):
    with pytest.raises(OperatorError, match="No such file"):
        tokens.write(tmp_path, ANNA, "", "secret")


def test_labs_that_are_gone_lose_their_folders_and_others_keep_them(root):
    bob = Person("bob", "bob", 70002)
    for person, server in ((ANNA, ""), (ANNA, "second"), (bob, "")):
        tokens.write(root, person, server, "secret")
    keep = frozenset({tokens.folder(root, ANNA, "second")})
    assert set(tokens.prune(root, keep)) == {tokens.folder(root, ANNA), tokens.folder(root, bob)}
    assert os.listdir(root / "run/labs") == ["anna.second"]
    tokens.remove(tokens.folder(root, ANNA, "second"))
    assert os.listdir(root / "run/labs") == []
    tokens.remove(tokens.folder(root, ANNA, "second"))
    assert tokens.prune(root / "nothing", frozenset()) == ()


@given(st.text(min_size=1), st.text())
def test_no_named_lab_has_the_folder_of_another_person(tmp_path_factory, name, server):
    person = Person(name, tokens.escape(name), 70003)
    other = Person("x", tokens.folder(tokens.Path("/"), ANNA, server or "one").name, 70004)
    assert tokens.escape(other.safe_name) != other.safe_name  # the folder of a named lab is nobody's safe name
    assert tokens.folder(tokens.Path("/"), person) != tokens.folder(tokens.Path("/"), ANNA, server or "one")


def git(folder, *words, **environment):
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_SYSTEM": str(folder / "gitconfig"), "HOME": str(folder)}
    return subprocess.run(["git", *words], capture_output=True, text=True, env=env | environment, cwd=folder)


@pytest.mark.parametrize("name", [
    "Anna Rossi", 'Anna "the" Rossi', "back\\slash", "trailing\\", "semi;colon # hash", "[core]", "= equals",
    "Zoë Łukasz", "  spaces  ",
], ids=["plain", "quotes", "backslash", "trailing", "comment", "section", "equals", "accents", "spaces"])  # fmt: skip
def test_git_knows_the_member(root, name):
    tokens.write_gitconfig(root, ANNA, "", {"name": name, "email": "anna@example.org"})
    folder = tokens.folder(root, ANNA)
    assert git(folder, "config", "--system", "user.name").stdout == name + "\n"
    assert git(folder, "config", "--system", "user.email").stdout == "anna@example.org\n"


@pytest.mark.parametrize("name", ["a\n[core]\n\tpager = sh", "a\0b", "a\r\n\tpager = sh", "\u2028x", "x" * 10000])
def test_hostile_name_sets_nothing_but_the_name(root, name):
    tokens.write_gitconfig(root, ANNA, "", {"name": name})
    folder = tokens.folder(root, ANNA)
    keys = git(folder, "config", "--system", "--list", "--name-only", "--no-includes").stdout.split()
    assert keys == ["include.path", "user.name"]
    assert len((folder / "gitconfig").read_text()) < 300


def test_what_the_member_sets_goes_before(root):
    tokens.write_gitconfig(root, ANNA, "", {"name": "Anna Rossi"})
    folder = tokens.folder(root, ANNA)
    (folder / ".gitconfig").write_text("[user]\n\tname = Annie\n")
    assert git(folder, "config", "user.name").stdout == "Annie\n"


def test_without_a_name_git_is_left_alone():
    assert tokens.gitconfig({}) == "[include]\n\tpath = /etc/gitconfig\n"


def jwt(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


def mlinfn_token(path, *words):
    env = {"BEARER_TOKEN_FILE": str(path)} if path else {}
    return subprocess.run([sys.executable, "-I", PROGRAM, *words], capture_output=True, text=True, env=env)


def test_program_prints_the_token(tmp_path):
    (tmp_path / "token").write_text("header.payload.signature\n")
    done = mlinfn_token(tmp_path / "token")
    assert (done.returncode, done.stdout, done.stderr) == (0, "header.payload.signature\n", "")


@pytest.mark.parametrize(("left_s", "said"), [
    (90_065, "Valid for another 1 day and 1 hour."), (605, "Valid for another 10 minutes"), (-7300, "Expired 2 hours"),
])  # fmt: skip
def test_program_prints_claims_and_how_long_the_token_is_valid(tmp_path, left_s, said):
    claims = {"sub": "anna", "exp": int(time.time()) + left_s, "name": "\x1b[31mAnna"}
    (tmp_path / "token").write_text(jwt(**claims))
    done = mlinfn_token(tmp_path / "token", "--claims")
    assert done.returncode == 0
    assert json.loads(done.stdout) == claims
    assert "\x1b" not in done.stdout
    assert said in done.stderr


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.!!!.c", jwt()[:-5] + ".x.y", "e30.W10.x", "e30..x"])
def test_program_says_that_an_opaque_token_tells_nothing(tmp_path, token):
    (tmp_path / "token").write_text(token)
    done = mlinfn_token(tmp_path / "token", "--claims")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("mlinfn-token: your token is not a JSON Web Token: only the identity service knows what it "
                           "says.\n")  # fmt: skip


def test_program_says_that_there_is_no_token(tmp_path):
    (tmp_path / "empty").write_text("")
    for path in (None, tmp_path / "missing", tmp_path / "empty", tmp_path):
        done = mlinfn_token(path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("mlinfn-token: t")
        assert "Traceback" not in done.stderr


def test_program_explains_itself():
    done = mlinfn_token(None, "--help")
    assert done.returncode == 0
    assert "--claims" in done.stdout


async def test_git_knows_what_the_checked_claims_say(root):
    (root / "hub").mkdir()
    said = {"given_name": "Anna", "family_name": "Rossi", "email": "no address"}
    state = {"access_token": "x", "expires": time.time() + 600, "oauth_user": said}

    async def remembered():
        return state

    lab = MemberSpawner(root=str(root), bearer_token=True)
    lab.user = SimpleNamespace(name="anna", groups=(), get_auth_state=remembered)
    lab.authenticator = SimpleNamespace(renew_at=lambda state: state["expires"])
    await lab.token_mounts(lab.person())
    assert (lab.token_folder / "gitconfig").read_text().endswith('[user]\n\tname = "Anna Rossi"\n')
