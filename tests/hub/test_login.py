"""Logging in with a password, against a real JupyterHub with our authenticator and processes as labs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hub import running_stock_hub
from support.wait import until

from jupyterhub_mlinfn import passwords

CONFIG = """
c.JupyterHub.authenticator_class = "jupyterhub_mlinfn.local.LocalAuthenticator"
c.LocalAuthenticator.passwords = {path!r}
c.JupyterHub.spawner_class = "simple"
"""
PASSWORD = "correct horse battery"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A file with anna, an admin, in the group cms."""
    path = tmp_path / "passwords.json"
    anna = passwords.Person(passwords.hashed(PASSWORD), admin=True, groups=("cms",))
    passwords.change(path, lambda nobody: {"anna": anna})
    return path


def test_right_password_enters_with_groups_and_rights_from_the_file(stock_hub, people):
    hub = stock_hub(CONFIG.format(path=str(people)))
    page = hub.visitor().log_in("Anna ", PASSWORD)
    assert page.status_code == 200
    assert "/hub/login" not in page.url
    assert hub.api.user("anna")["groups"] == ["cms"]
    assert hub.api.user("anna")["admin"] is True


@pytest.fixture(scope="module")
def annas_hub(tmp_path_factory, proxy_command):
    """One hub for all the logins that fail; every name waits in a line of its own."""
    folder = tmp_path_factory.mktemp("annas")
    passwords.change(folder / "passwords.json", lambda nobody: {"anna": passwords.Person(passwords.hashed(PASSWORD))})
    with running_stock_hub(folder, proxy_command, CONFIG.format(path=str(folder / "passwords.json"))) as hub:
        yield hub


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "wrong horse battery"), ("anna", ""), ("nobody", PASSWORD), ("", ""), ("anna/../root", PASSWORD)],
    ids=["wrong", "empty", "unknown person", "nothing at all", "a path as a name"],
)
def test_wrong_login_is_refused(annas_hub, name, password):
    visitor = annas_hub.visitor()
    page = visitor.log_in(name, password)
    assert page.status_code in (401, 403)
    assert visitor.get("/hub/home").url.split("?")[0].endswith("/hub/login")


def test_without_a_file_nobody_enters(stock_hub, tmp_path):
    hub = stock_hub(CONFIG.format(path=str(tmp_path / "missing.json")))
    for name in ("anna", "admin", "root", "jupyterhub"):
        assert hub.visitor().log_in(name, name).status_code == 403


def test_who_was_removed_is_out_without_logging_out(stock_hub, people):
    hub = stock_hub(CONFIG.format(path=str(people)) + "\nc.Authenticator.auth_refresh_age = 1\n")
    visitor = hub.visitor()
    visitor.log_in("anna", PASSWORD)
    passwords.change(people, lambda everybody: {})

    def is_out() -> bool:
        return visitor.get("/hub/home").url.split("?")[0].endswith("/hub/login")

    until(is_out, 10, "anna's session to end", every_s=0.3)
    assert hub.visitor().log_in("anna", PASSWORD).status_code == 403


def test_stock_hub_with_our_login_denies_by_default(stock_hub, tmp_path):
    """Nothing set but the class: JupyterHub must not let everybody in."""
    hub = stock_hub(
        'c.JupyterHub.authenticator_class = "jupyterhub_mlinfn.local.LocalAuthenticator"\n'
        f"c.LocalAuthenticator.passwords = {str(tmp_path / 'none.json')!r}\n"
    )
    assert hub.visitor().log_in("anna", "anna").status_code == 403


def test_password_is_in_no_log(stock_hub, people):
    hub = stock_hub(CONFIG.format(path=str(people)) + "\nc.JupyterHub.log_level = 'DEBUG'\n")
    hub.visitor().log_in("anna", PASSWORD)
    hub.visitor().log_in("anna", "wrong horse battery")
    assert "POST /hub/login" in hub.text()
    assert "horse" not in hub.text()
