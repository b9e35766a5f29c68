"""The parts of the page of rooms that need no hub."""

from __future__ import annotations

import re

import pytest
from jupyterhub.utils import subdomain_hook_idna
from traitlets.config import Config

from jupyterhub_mlinfn import collab
from jupyterhub_mlinfn.collab import page, place
from jupyterhub_mlinfn.collab.asking import AWAY, Refusal, Stale, check
from jupyterhub_mlinfn.collab.handlers import BROKEN, lacking, may, words_of
from jupyterhub_mlinfn.settings import Settings

ROOMS = [{"name": "cms", "group": "cms"}, {"name": "night-shift", "group": "ml-infn/keepers"}]
USER = {"name": "anna", "groups": ["cms", "ml-infn/keepers"], "scopes": ["access:servers!server=room-cms/",
        "servers!server=room-cms/"]}  # fmt: skip


def settings(tmp_path, **more) -> Settings:
    (tmp_path / "secrets/hub").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secrets/hub/collab_token").write_text("its token\n")
    return Settings(**{"root": tmp_path, "groups": ["cms", "ml-infn/keepers"], "rooms": ROOMS, **more})


def configured(site: Settings) -> Config:
    c = Config()
    c.JupyterHub.services, c.JupyterHub.extra_handlers = [], []
    c.JupyterHub.template_vars = {}
    collab.configure(c, site)
    return c


def test_page_is_where_jupyterhub_puts_services(tmp_path):
    host = subdomain_hook_idna("collab", "hub.example.org", "service")
    assert collab.page_url(settings(tmp_path, host="hub.example.org")) == f"http://{host}:8000/services/collab/"
    without = settings(tmp_path, subdomains=False, rooms_without_subdomains="accepted")
    assert collab.page_url(without) == "http://localhost:8000/services/collab/"


def test_hub_knows_the_page_and_what_it_may_ask_for(tmp_path):
    hub = configured(settings(tmp_path)).JupyterHub
    [service] = hub.services
    assert service["url"] == "http://127.0.0.1:8007"
    assert (service["api_token"], service["oauth_no_confirm"], service["display"]) == ("its token", True, False)
    assert set(service["oauth_client_allowed_scopes"]) == {
        "access:servers!server=room-cms/", "servers!server=room-cms/",
        "access:servers!server=room-night-shift/", "servers!server=room-night-shift/"}  # fmt: skip
    assert hub.extra_user_scopes == {"access:services!service=collab"}
    assert hub.template_vars["rooms_url"] == "http://collab--service.localhost:8000/services/collab/"
    assert len(hub.extra_handlers) == 1


def test_hub_without_rooms_has_nothing_of_it(tmp_path):
    hub = configured(settings(tmp_path, rooms=[])).JupyterHub
    assert (hub.services, hub.extra_handlers, hub.template_vars) == ([], [], {})


def test_service_reads_what_was_written_for_it(tmp_path):
    site = settings(tmp_path)
    variables = {
        "MLINFN_COLLAB_PORT": "8007", "MLINFN_COLLAB_API": "http://172.30.0.1:8002/hub/api",
        "MLINFN_COLLAB_HUB": "http://localhost:8000", "MLINFN_COLLAB_PAGE": collab.page_url(site),
        "MLINFN_COLLAB_ROOMS": collab.written(site),
    }  # fmt: skip
    there = place.read(variables, tmp_path / "secrets/hub/collab_token")
    assert there.groups == {"cms": "cms", "night-shift": "ml-infn/keepers"}
    assert (there.port, there.token, there.contact) == (8007, "its token", "")
    assert "its token" not in repr(there)
    assert place.parsed("") == {}


def test_token_lacks_rooms_of_groups_that_its_owner_came_into_later():
    groups = {"cms": "cms", "night-shift": "ml-infn/keepers", "atlas": "atlas"}
    assert may("cms", USER)
    assert not may("night-shift", USER)
    assert lacking(groups, USER) == ["night-shift"]
    assert lacking(groups, {**USER, "groups": ["cms"]}) == []
    assert lacking(groups, {**USER, "groups": [], "scopes": []}) == []


@pytest.mark.parametrize(("status", "text", "words"), [
    (400, '{"status": 400, "message": "room-cms is already running"}', "room-cms is already running"),
    (500, '{"message": "Docker is away."}', "Docker is away."),
    (502, "<html>", AWAY), (404, "[]", AWAY), (404, '{"message": 7}', AWAY),
])  # fmt: skip
def test_errors_of_the_hub_keep_their_words(status, text, words):
    with pytest.raises(Refusal) as refused:
        check(status, text)
    assert (refused.value.status_code, refused.value.words) == (status, words)


def test_token_that_the_hub_does_not_take_is_stale():
    check(202, "")
    with pytest.raises(Stale) as refused:
        check(403, '{"message": "Missing or invalid credentials."}')
    assert refused.value.status_code == 401


def test_words_of_an_error_say_nothing_of_its_inside():
    assert words_of(ValueError("http://172.30.0.1"), 500) == BROKEN
    assert words_of(Refusal(503, AWAY), 503) == AWAY


def test_pages_load_only_files_and_have_nothing_inline():
    user = {"name": "<b>anna</b>", "groups": ["<i>cms</i>"]}
    html = page.render("rooms.html", user=user, xsrf="x", hub="http://localhost:8000", contact="<u>help</u>")
    assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|<b>|<i>|<u>", html)
    assert re.search(r'src="/services/collab/static/rooms\.js\?v=[0-9a-f]{12}"', html)
    assert "None is for yours: &lt;i&gt;cms&lt;/i&gt;." in html
    none = page.render("rooms.html", user={"name": "dora", "groups": []}, xsrf="x", hub="", contact="")
    assert "None is for you, because you are in no group." in none


def test_files_of_the_page_change_their_address_with_their_content():
    one, two = page.Asset("text/css", b"a"), page.Asset("text/css", b"b")
    assert one.version != two.version
    assert {asset.kind for asset in page.ASSETS.values()} == {"text/css", "text/javascript", "image/svg+xml"}
    assert all(asset.content for asset in page.ASSETS.values())
