"""The parts of services' pages that need no hub."""

from __future__ import annotations

import pytest
from jupyterhub.utils import subdomain_hook_idna
from traitlets.config import Config

from jupyterhub_mlinfn.pages import Page, look, place
from jupyterhub_mlinfn.pages.asking import AWAY, Asked, Refusal, Stale
from jupyterhub_mlinfn.pages.handlers import BROKEN, words_of
from jupyterhub_mlinfn.settings import Settings

PAGE = Page("things", offset=12, uid=69999, secret="things_token")
HUB = Asked("http://localhost/hub/api", "a token")


def settings(tmp_path, **more) -> Settings:
    (tmp_path / "secrets/hub").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secrets/hub/things_token").write_text("its token\n")
    return Settings(**{"root": tmp_path, **more})


def configured(site: Settings) -> Config:
    c = Config()
    c.JupyterHub.services, c.JupyterHub.extra_handlers = [], []
    c.JupyterHub.extra_user_scopes = {"another"}
    PAGE.configure(c, site, ["custom:things"])
    return c.JupyterHub


def test_page_is_where_jupyterhub_puts_services(tmp_path):
    host = subdomain_hook_idna("things", "hub.example.org", "service")
    plain = settings(tmp_path, host="hub.example.org", tls={"plain_http": "accepted"})
    assert PAGE.url(plain) == f"http://{host}:8000/services/things/"
    behind_tls = settings(tmp_path, host="hub.example.org", tls={"mode": "self-signed"})
    assert PAGE.url(behind_tls) == f"https://{host}/services/things/"
    assert PAGE.url(settings(tmp_path, subdomains=False)) == "http://localhost:8000/services/things/"


def test_hub_knows_the_page_and_what_it_may_ask_for(tmp_path):
    hub = configured(settings(tmp_path))
    [service] = hub.services
    assert (service["name"], service["url"]) == ("things", "http://127.0.0.1:8012")
    assert (service["api_token"], service["oauth_no_confirm"], service["display"]) == ("its token", True, False)
    assert service["oauth_client_allowed_scopes"] == ["custom:things"]
    assert service["oauth_redirect_uri"] == "http://things--service.localhost:8000/services/things/oauth_callback"
    assert hub.extra_user_scopes == {"another", "access:services!service=things"}
    assert len(hub.extra_handlers) == 1
    assert configured(settings(tmp_path, subdomains=False)).extra_handlers == []


def test_service_reads_what_was_written_for_it(tmp_path):
    site = settings(tmp_path)
    variables = {
        "MLINFN_PAGE_PORT": "8012", "MLINFN_PAGE_API": "http://172.30.0.1:8002/hub/api",
        "MLINFN_PAGE_HUB": "http://localhost:8000", "MLINFN_PAGE_URL": PAGE.url(site),
    }  # fmt: skip
    there = place.read(variables, tmp_path / "secrets/hub/things_token")
    assert (there.port, there.token, there.contact) == (8012, "its token", "")
    assert "its token" not in repr(there)


@pytest.mark.parametrize(("status", "text", "words"), [
    (400, '{"status": 400, "message": "room-cms is already running"}', "room-cms is already running"),
    (500, '{"message": "Docker is away."}', "Docker is away."),
    (502, "<html>", AWAY), (404, "[]", AWAY), (404, '{"message": 7}', AWAY),
])  # fmt: skip
def test_errors_of_the_hub_keep_their_words(status, text, words):
    with pytest.raises(Refusal) as refused:
        HUB.check(status, text)
    assert (refused.value.status_code, refused.value.words) == (status, words)


def test_token_that_the_hub_does_not_take_is_stale():
    HUB.check(202, "")
    with pytest.raises(Stale) as refused:
        HUB.check(403, '{"message": "Missing or invalid credentials."}')
    assert refused.value.status_code == 401


def test_words_of_an_error_say_nothing_of_its_inside():
    assert words_of(ValueError("http://172.30.0.1"), 500) == BROKEN
    assert words_of(Refusal(503, AWAY), 503) == AWAY


def test_files_of_the_page_change_their_address_with_their_content():
    one, two = look.Asset("text/css", b"a"), look.Asset("text/css", b"b")
    assert one.version != two.version
    assets = look.look(PAGE.prefix, "Things", "rooms").assets.values()
    assert {asset.kind for asset in assets} == {"text/css", "text/javascript", "image/svg+xml"}
    assert all(asset.content for asset in assets)
