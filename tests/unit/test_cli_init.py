"""`mlinfn init`: questions, a file of answers, and the settings that come of them."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import CHECKOUT
from support.wait import until

from jupyterhub_mlinfn import settings_errors
from jupyterhub_mlinfn.cli.answers import Answers, is_asked, values
from jupyterhub_mlinfn.cli.example import with_values
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import load

STEP = """
set -Eeuo pipefail
. install.d/say.sh
exec 3>&1 >/dev/null 2>&1
trap 'failed $? "$BASH_COMMAND"' ERR
mlinfn() { "$MLINFN" "$@"; }
eval "$(sed -n '/^ensure_settings() {/,/^}/p; /^write_settings() {/,/^}/p' install.sh)"
step settings ensure_settings
"""
"""The one of install.sh that writes the settings, where nothing else is installed."""
pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
MLINFN = Path(sys.executable).with_name("mlinfn")
EXAMPLE = CHECKOUT / "config/mlinfn.yaml"
IAM = """
host: hub.example.org
tls: acme
provider: rfc2136
root: /data/mlinfn
login: iam
issuer: https://iam.example.org
groups: [ml-infn, cms]
admins: [/ml-infn/keepers]
images: [lab, lab-ml, "registry.example.org/group/Analysis:1.0"]
memory: [4G, 16G]
gpus: 4
backup: [/mnt/backup, "s3:https://s3.example.org/b"]
mail: keeper@example.org
mail_server: mail.example.org:587
"""


@pytest.fixture
def init(tmp_path):
    """Call it with answers, or none, and words: what the command exited with and printed."""
    (tmp_path / "answers.yaml").touch()

    def run(answers=None, *words):
        if answers is not None:
            (tmp_path / "answers.yaml").write_text(answers)
            words = ("--answers", tmp_path / "answers.yaml", *words)
        return subprocess.run([MLINFN, "--config", tmp_path / "new/mlinfn.yaml", "init", *words], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)  # fmt: skip

    run.config = tmp_path / "new/mlinfn.yaml"
    return run


def test_without_a_word_the_settings_are_the_example(init):
    assert init("").returncode == 0
    assert init.config.read_text() == EXAMPLE.read_text()


def test_every_answer_is_in_the_settings_and_every_comment_stays(init):
    done = init(IAM)
    assert done.returncode == 0, done.stderr
    assert "mlinfn iam client" in done.stdout
    new = load(init.config)
    assert (new.host, str(new.root), new.login, new.iam.issuer) == (
        "hub.example.org", "/data/mlinfn", "iam", "https://iam.example.org")  # fmt: skip
    assert (new.tls.mode, new.tls.acme.challenge, new.tls.acme.provider, new.tls.acme.email, new.subdomains) == (
        "acme", "dns", "rfc2136", "keeper@example.org", True)  # fmt: skip
    assert (new.iam.allowed_groups, new.iam.admin_groups) == (("ml-infn", "cms"), ("ml-infn/keepers",))
    assert [(each.slug, each.title, each.image) for each in new.images] == [
        ("lab", "JupyterLab", "mlinfn/lab"), ("lab-ml", "Machine learning", "mlinfn/lab-ml"),
        ("analysis", "analysis", "registry.example.org/group/Analysis:1.0")]  # fmt: skip
    assert (new.sizes.memory, new.gpus.per_server, new.gpus.per_person) == (("4G", "16G"), 4, 4)
    assert new.backup.targets == ("/mnt/backup", "s3:https://s3.example.org/b")
    mail = {"to": "keeper@example.org", "from": "keeper@example.org", "smarthost": "mail.example.org:587"}
    assert new.monitoring.alerts["email_configs"] == (mail,)
    comments = re.findall(r"(?:^|  )# (\S.*)$", EXAMPLE.read_text(), re.MULTILINE)
    assert len(comments) > 50
    assert [comment for comment in comments if comment not in init.config.read_text()] == []


def test_mail_to_this_machine_itself_needs_no_certificate(init):
    assert init("mail: keeper@example.org\n").returncode == 0
    (mail,) = load(init.config).monitoring.alerts["email_configs"]
    assert (mail["smarthost"], mail["require_tls"]) == ("localhost:25", False)


@pytest.mark.parametrize(("answers", "said"), [
    ("lgoin: iam\n", ":1: lgoin: there is no such key. Did you mean `login`?"),
    ("port: 8000\n\nlogin: imap\n", ':3: login: this is "imap", but it has to be one of: demo, local, iam.'),
    ("host: hub.example.org\n", ":1: login: the demo is for this machine alone"),
    ("tls: acme\n", ":1: tls: is for a name that others type, and `host` is localhost."),
    ("host: a.example.org\nlogin: local\ntls: files\n", ":1: certificate: is missing."),
    ("login: iam\ngroups: [a]\n", ":1: issuer: is missing"),
    ("login: iam\nissuer: https://iam.example.org\n", ":1: groups: is empty, so nobody could log in."),
    ("backup:\n- /srv/mlinfn/copies\n", ":2: backup[0]: /srv/mlinfn/copies and `root`, /srv/mlinfn, lie in one"),
    ("images: [lab-nl]\n", ":1: images[0]: there is no image lab-nl of ours. There is: lab, lab-ml, lab-conda."),
    ("images: [lab, a/lab]\n", ":1: images[1]: another one is called lab already."),
    ("root: data\n", ":1: root: this is data, but it has to be an absolute path"),
    ("host: [\n", "this is not YAML"),
])  # fmt: skip
def test_what_is_wrong_in_the_answers_is_named_with_its_line(tmp_path, answers, said):
    path = tmp_path / "answers.yaml"
    path.write_text(answers)
    with pytest.raises(OperatorError) as refused:
        settings_errors.read(path, Answers, "The answers")
    assert said in str(refused.value)


def test_a_typo_writes_nothing(init):
    done = init("lgoin: iam\n")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "The answers have 1 mistake:"
    assert second.endswith("answers.yaml:1: lgoin: there is no such key. Did you mean `login`?")
    assert not init.config.parent.exists()


def test_an_address_has_no_subdomains(init):
    assert init("host: 192.168.1.5\nlogin: local\ngroups: [cms]\n").returncode == 0
    new = load(init.config)
    assert (new.subdomains, new.groups, new.tls.mode) == (False, ("cms",), "self-signed")


@pytest.mark.parametrize(("tls", "told", "subdomains"), [
    ("acme", {"mode": "acme"}, False),
    ("plain", {"plain_http": "accepted"}, True),
    ("files, certificate: /etc/ssl/hub/a.pem, key: /etc/ssl/hub/b.pem",
     {"mode": "files", "certificate": "/etc/ssl/hub/a.pem", "key": "/etc/ssl/hub/b.pem"}, True),
])  # fmt: skip
def test_a_name_that_others_type_has_tls_or_the_word_that_it_has_none(init, tls, told, subdomains):
    done = init(f"{{host: hub.example.org, login: local, tls: {tls}}}")
    assert done.returncode == 0, done.stderr
    new = load(init.config)
    assert (new.tls.model_dump(mode="json", exclude_defaults=True), new.subdomains) == (told, subdomains)


def test_settings_that_are_there_are_replaced_only_by_force_and_kept(init):
    init("")
    refused = init("port: 9000\n")
    assert refused.returncode == 2
    assert "mlinfn init --force" in refused.stderr
    assert load(init.config).port == 8000
    for number, port in (("", 9000), (".2", 9100)):
        before = init.config.read_text()
        done = json.loads(init(f"port: {port}\n", "--force", "--json").stdout)
        assert Path(done["kept"]) == init.config.with_name(f"mlinfn.yaml.before-init{number}")
        assert Path(done["kept"]).read_text() == before
        assert load(init.config).port == port
    assert json.loads(init("port: 9100\n", "--force", "--json").stdout)["kept"] is None


def test_nobody_is_asked_where_there_is_no_terminal(init):
    done = init()
    assert done.returncode == 2
    assert "--answers FILE" in done.stderr
    assert "mail_server" in done.stderr


def test_questions_are_asked_one_by_one_and_again_after_what_cannot_be(tmp_path):
    ours, theirs = pty.openpty()
    config = tmp_path / "mlinfn.yaml"
    command = [MLINFN, "--config", config, "init"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        screen = bytearray()
        typed = {"host": "hub.example.org", "tls": "", "port": "80", "port ": "8100", "root": "", "login": "",
                 "login ": "local", "groups": "cms, ml", "images": "lab-ml lab", "memory": "", "gpus": "1",
                 "backup": "none", "mail": "keeper@example.org", "mail_server": ""}  # fmt: skip
        for name, words in typed.items():
            _read_until(ours, screen, rf"  {name.strip()}")
            os.write(ours, f"{words}\n".encode())
        _read_until(ours, screen, "alerts test")
        assert process.wait(10) == 0
    os.close(ours)
    assert b"port: this is \"80\", but it has to be a whole number from 1024 to 65500." in screen
    new = load(config)
    assert (new.port, new.login, new.groups, new.backup.targets) == (8100, "local", ("cms", "ml"), ())
    assert [image.slug for image in new.images] == ["lab-ml", "lab"]
    assert "email_configs" in new.monitoring.alerts


def _read_until(terminal: int, screen: bytearray, name: str) -> None:
    """Nothing, once what is asked for last is on the screen."""
    before = len(screen)

    def is_asked() -> bool:
        screen.extend(os.read(terminal, 4096))
        said = screen[before:].decode(errors="replace")
        return f"{name}: " in said or f"{name} [" in said or f"{name}\r\n" in said

    until(is_asked, 20, f"the question {name}")


def test_ten_questions_are_asked_of_everybody():
    assert len([name for name in Answers.model_fields if is_asked(name, {})]) == 10
    assert len([name for name in Answers.model_fields if is_asked(name, {"login": "iam", "mail": "a@b"})]) == 13


@pytest.mark.parametrize(("old", "new", "said"), [
    ("#  targets:", "#  gone:", r"no place in it for backup\.targets"),
    ("images: ", "pictures: ", r"mlinfn\.yaml:9: pictures: there is no such key"),
    ("#rooms: []", "rooms: [{name: cms, group: cms}]", "The settings have 1 mistake"),
    ("#storage:", "storage: {extra: [{source: /mnt, target: /mnt}]}", "With these answers, the settings have 1"),
])  # fmt: skip
def test_an_example_that_was_changed_too_much_is_said(old, new, said):
    text = EXAMPLE.read_text().replace(old, new, 1)
    with pytest.raises(OperatorError, match=said):
        with_values(text, values(Answers(backup=["/mnt/b"])), EXAMPLE)


def test_what_a_keeper_has_written_is_replaced_where_it_was_asked_for():
    mended = EXAMPLE.read_text().replace("#backup:", "backup:").replace("#  targets: [/srv", "  targets: [/old")
    assert "\n  targets: [/srv/backup]" in with_values(mended, values(Answers()), EXAMPLE)


@pytest.mark.parametrize(("answers", "status", "said"), [
    (None, 0, "a copy of the example"), ("port: 9000\n", 0, "/answers.yaml\n"),
    ("porrt: 9000\n", 1, "answers.yaml:1: porrt: there is no such key. Did you mean `port`?"),
])  # fmt: skip
def test_install_sh_writes_settings_and_asks_nobody(tmp_path, answers, status, said):
    (tmp_path / "answers.yaml").write_text(answers or "")
    config = tmp_path / "new/mlinfn.yaml"
    environ = {**os.environ, "MLINFN": str(MLINFN), "CHECKOUT": str(CHECKOUT), "LOG": "/dev/null",
               "CONFIG": str(config), "MLINFN_CONFIG": str(config),
               "ANSWERS": str(tmp_path / "answers.yaml") if answers else ""}  # fmt: skip
    done = subprocess.run(["bash", "-c", STEP], cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert (done.returncode, said in done.stdout) == (status, True), done.stdout
    if status:
        assert "What to do: Mend " in done.stdout
    else:
        assert load(config).port == (9000 if answers else 8000)
