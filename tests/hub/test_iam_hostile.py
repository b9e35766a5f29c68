"""Logging in at an identity service that lies, babbles or is silent, against a real JupyterHub."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup
from support.hostile_issuer import CLIENT, FORGED, PEOPLE, SECRET, Issuer
from support.hub import Hub, running_stock_hub
from support.wait import until

from jupyterhub_mlinfn import claims
from jupyterhub_mlinfn.form import TEMPLATES

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
CONFIG = """
c.JupyterHub.authenticator_class = "indigo-iam"
c.JupyterHub.template_paths = [{templates!r}]
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.log_level = "DEBUG"
c.IAMAuthenticator.issuer = {issuer!r}
c.IAMAuthenticator.client_id = {client!r}
c.IAMAuthenticator.client_secret_file = {secret!r}
c.IAMAuthenticator.allowed_groups = ["/cms"]
c.IAMAuthenticator.contact = "keeper@example.org"
c.IAMAuthenticator.refresh_s = 1
c.IAMAuthenticator.timeout_s = 1.0
c.IAMAuthenticator.retry_s = [0.05, 0.2]
"""
CRYPT_KEY = "0" * 64
WORDS = "words-of-the-issuer"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    """The lying provider, one for the module."""
    with Issuer() as made:
        yield made


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str], provider: Issuer) -> Iterator[Hub]:
    """A hub that believes in the provider."""
    folder = tmp_path_factory.mktemp("hub")
    secret = folder / "client_secret"
    secret.write_text(SECRET)
    config = CONFIG.format(issuer=provider.url, client=CLIENT, secret=str(secret), templates=str(TEMPLATES))
    with running_stock_hub(folder, proxy_command, config, JUPYTERHUB_CRYPT_KEY=CRYPT_KEY) as made:
        made.secret = secret
        yield made


@pytest.fixture
def issuer(provider: Issuer, hub: Hub) -> Iterator[Issuer]:
    """The provider, truthful again and known by the hub to be there."""
    provider.reset()
    until(lambda: not is_waiting(hub), 10, "the login button")
    yield provider
    provider.reset()


def log_in(hub: Hub):
    """A visitor who went through the whole login, and the page where it ended."""
    visitor = hub.visitor()
    return visitor, visitor.get("/hub/oauth_login?next=/hub/home")


def text(answer) -> str:
    """What a page says."""
    return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)


def is_outside(visitor) -> bool:
    """Whether the hub asks this visitor to log in."""
    return urlsplit(visitor.get("/hub/home").url).path == "/hub/login"


def test_truth_lets_in(hub, issuer):
    visitor, answer = log_in(hub)
    assert answer.status_code == 200, text(answer)
    assert not is_outside(visitor)
    anna = hub.api.user("anna")
    assert sorted(anna["groups"]) == ["cms", "cms/ml"]
    assert anna["admin"] is False
    assert anna["user_info"] == {"name": "Anna Rossi", "display_name": "Anna Rossi", "initials": "AR",
                                 "color": claims.color("anna")}  # fmt: skip


def test_requests_carry_what_binds_them_to_this_browser(hub, issuer):
    answer = hub.visitor().get("/hub/oauth_login", allow_redirects=False)
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["openid profile email offline_access"]
    assert len(asked["nonce"][0]) == 64
    assert asked["state"] != parse_qs(urlsplit(hub.visitor().get("/hub/oauth_login", allow_redirects=False)
                                               .headers["Location"]).query)["state"]  # fmt: skip


@pytest.mark.parametrize("forged", ["another login", "no algorithm"])
def test_id_token_that_proves_nothing_lets_nobody_in(hub, issuer, forged):
    issuer.forge = FORGED[forged]
    visitor, answer = log_in(hub)
    assert answer.status_code == 403
    assert "could not be verified" in text(answer)
    assert is_outside(visitor)


def wrong_callbacks(state: str) -> dict[str, dict[str, str]]:
    """What an attacker, or an old tab, may put into the address of the callback."""
    other = base64.urlsafe_b64encode(b'{"state_id": "of-nobody"}').decode()
    return {
        "no state": {"code": "x"}, "another state": {"code": "x", "state": other}, "a state of letters": {"state": "é"},
        "a state that is a list": {"code": "x", "state": base64.urlsafe_b64encode(b"[]").decode()},
        "a state 9 KB long": {"code": "x", "state": "W1" * 4500}, "no code": {"state": state},
        "an unknown code": {"code": "x", "state": state}, "another issuer": {"code": "x", "state": state, "iss": "https://x"},
        "an error": {"error": "access_denied", "error_description": f"<script>{WORDS}</script>", "state": state},
        "an error without state": {"error": WORDS, "error_description": WORDS},
        "an error of two lines": {"error": f"a\n{WORDS}", "state": state},
    }  # fmt: skip


@pytest.mark.parametrize("case", wrong_callbacks(""))
def test_callback_that_this_browser_did_not_begin_is_refused(hub, issuer, case):
    visitor = hub.visitor()
    begun = visitor.get("/hub/oauth_login", allow_redirects=False).headers["Location"]
    given = wrong_callbacks(parse_qs(urlsplit(begun).query)["state"][0])[case]
    answer = visitor.get(f"/hub/oauth_callback?{urlencode(given)}")
    assert answer.status_code in (400, 403), text(answer)
    assert WORDS not in answer.text
    assert is_outside(visitor)


def test_callback_with_bytes_that_are_no_text_is_refused(hub, issuer):
    visitor = hub.visitor()
    answer = visitor.get("/hub/oauth_callback?code=%ff%fe&state=%ff")
    assert answer.status_code == 403
    assert "\\xff" not in hub.text()


def test_code_works_once_and_in_one_browser(hub, issuer):
    visitor = hub.visitor()
    there = visitor.get("/hub/oauth_login?next=/hub/home", allow_redirects=False).headers["Location"]
    back = visitor.session.get(there, allow_redirects=False).headers["Location"]
    assert hub.visitor().session.get(back).status_code == 403, "a stolen link, without the cookie"
    assert visitor.session.get(back).status_code == 200
    assert visitor.session.get(back).status_code == 403


def test_refused_person_reads_who_they_are_and_whom_to_ask(hub, issuer):
    issuer.person = {**PEOPLE["anna"], "groups": ["atlas"], "name": "Anna <b>Rossi</b>"}
    answer = log_in(hub)[1]
    assert answer.status_code == 403
    for words in ("Anna <b>Rossi</b>", "(anna)", "cms", "keeper@example.org"):
        assert words in text(answer)
    assert "atlas" not in text(answer)


def test_name_that_cannot_be_had_is_refused(hub, issuer):
    issuer.person = {**PEOPLE["anna"], "preferred_username": "../root"}
    answer = log_in(hub)[1]
    assert answer.status_code == 403
    assert "Your user name does not work here" in text(answer)


def test_name_stays_with_who_had_it_first(hub, issuer):
    assert log_in(hub)[1].status_code == 200
    issuer.person = {**PEOPLE["anna"], "sub": "sub-of-another-anna", "preferred_username": "Anna"}
    visitor, answer = log_in(hub)
    assert answer.status_code == 403
    assert "belongs to another person" in text(answer)
    assert is_outside(visitor)


def test_trouble_of_the_service_is_said_and_nobody_is_logged_out(hub, issuer):
    stays, _ = log_in(hub)
    issuer.answers["token"] = (500, WORDS.encode())
    answer = log_in(hub)[1]
    assert answer.status_code == 503
    assert "it answers with an error" in text(answer).lower()
    assert WORDS not in answer.text
    assert not is_outside(stays)


def test_unsigned_policy_has_its_page_with_the_link(hub, issuer):
    issuer.error = {"error": "access_denied", "error_description": f"User anna needs to sign AUP {WORDS}"}
    answer = log_in(hub)[1]
    assert answer.status_code == 403
    assert "policy has to be signed" in text(answer)
    assert BeautifulSoup(answer.text, "html.parser").select_one(f"a[href='{issuer.url}']")
    assert WORDS not in answer.text


def test_who_leaves_the_groups_is_out_within_the_interval(hub, issuer):
    visitor, _ = log_in(hub)
    assert not is_outside(visitor)
    issuer.person = {**PEOPLE["anna"], "groups": ["atlas"]}
    until(lambda: is_outside(visitor), 20, "anna to be out", every_s=0.2)  # test_refresher has the interval itself


def test_login_page_retries_until_the_service_answers(hub, issuer):
    stays, _ = log_in(hub)
    issuer.answers = dict.fromkeys(("discovery", "token", "userinfo"), (503, b""))
    until(lambda: not is_outside(stays) and is_waiting(hub), 20, "the login page to say so", every_s=0.2)
    assert "identity service is unreachable, retrying" in text(hub.visitor().get("/hub/login"))
    assert not is_outside(stays)
    issuer.answers = {}
    until(lambda: not is_waiting(hub), 20, "the login button")
    assert not is_outside(stays)


def is_waiting(hub: Hub) -> bool:
    """Whether the login page says that it waits."""
    return 'id="retrying"' in hub.visitor().get("/hub/login").text


def test_client_secret_that_is_put_right_needs_no_restart(hub, issuer):
    stays, _ = log_in(hub)
    issuer.secret = "rotated"
    assert log_in(hub)[1].status_code == 503
    assert not is_outside(stays)
    hub.secret.write_text("rotated\n")
    assert log_in(hub)[1].status_code == 200
    issuer.secret = SECRET
    hub.secret.write_text(SECRET)


def test_nothing_that_was_issued_is_in_the_log(hub, issuer):
    log_in(hub)
    log = hub.text()
    assert "User logged in: anna" in log
    found = [secret for secret in (*issuer.issued, SECRET, CRYPT_KEY, WORDS, "Rossi") if secret in log]
    assert found == [], [line for line in log.splitlines() if any(secret in line for secret in found)]
