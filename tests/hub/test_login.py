"""Logging in with a password, against a real JupyterHub with our authenticator and processes as labs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.hub import Hub, running_stock_hub
from support.wait import until

from jupyterhub_mlinfn import passwords

CONFIG = """
c.JupyterHub.authenticator_class = "jupyterhub_mlinfn.local.LocalAuthenticator"
c.LocalAuthenticator.passwords = {path!r}
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.log_level = "DEBUG"
c.Authenticator.auth_refresh_age = 1
"""
ONLY_THE_CLASS = """
c.JupyterHub.authenticator_class = "jupyterhub_mlinfn.local.LocalAuthenticator"
c.LocalAuthenticator.passwords = {path!r}
"""
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str]) -> Iterator[Hub]:
    """A hub with anna, an admin in the group cms, and bob; every name's attempts wait in a line of their own."""
    folder = tmp_path_factory.mktemp("hub")
    path = folder / "passwords.json"
    anna = passwords.Person(passwords.hashed(PASSWORD), admin=True, groups=("cms",))
    passwords.change(path, lambda nobody: {"anna": anna, "bob": passwords.Person(anna.hash)})
    with running_stock_hub(folder, proxy_command, CONFIG.format(path=str(path))) as made:
        made.people = path
        yield made


def is_outside(visitor) -> bool:
    """Whether the hub asks this visitor to log in."""
    return visitor.get("/hub/home").url.split("?")[0].endswith("/hub/login")


def test_right_password_enters_with_groups_and_rights_from_the_file(hub):
    visitor = hub.visitor()
    assert visitor.log_in("Anna ", PASSWORD).status_code == 200
    assert not is_outside(visitor)
    assert hub.api.user("anna")["groups"] == ["cms"]
    assert hub.api.user("anna")["admin"] is True


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "wrong horse battery"), ("anna", ""), ("nobody", PASSWORD), ("", ""), ("anna/../root", PASSWORD)],
    ids=["wrong", "empty", "unknown person", "nothing at all", "a path as a name"],
)
def test_wrong_login_is_refused(hub, name, password):
    visitor = hub.visitor()
    assert visitor.log_in(name, password).status_code in (401, 403)
    assert is_outside(visitor)


def test_who_was_removed_is_out_without_logging_out(hub):
    visitor = hub.visitor()
    visitor.log_in("bob", PASSWORD)
    assert not is_outside(visitor)
    passwords.change(hub.people, lambda people: passwords.removed(people, "bob"))
    until(lambda: is_outside(visitor), 10, "bob's session to end", every_s=0.3)
    assert hub.visitor().log_in("bob", PASSWORD).status_code == 403


def test_password_is_in_no_log(hub):
    hub.visitor().log_in("anna", PASSWORD)
    hub.visitor().log_in("anna", "wrong horse battery")
    assert "POST /hub/login" in hub.text()
    assert "horse" not in hub.text()


def test_without_a_file_nobody_enters(stock_hub, tmp_path):
    """Nothing set but the class: JupyterHub must not let everybody in."""
    hub = stock_hub(ONLY_THE_CLASS.format(path=str(tmp_path / "missing.json")))
    for name in ("anna", "admin", "root", "jupyterhub"):
        assert hub.visitor().log_in(name, name).status_code == 403
