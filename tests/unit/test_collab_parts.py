"""The parts of the page of rooms that need no hub."""

from __future__ import annotations

import re

from traitlets.config import Config

from jupyterhub_mlinfn import collab
from jupyterhub_mlinfn.collab.handlers import lacking, may
from jupyterhub_mlinfn.pages.look import look
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
    c.JupyterHub.extra_user_scopes, c.JupyterHub.template_vars = set(), {}
    collab.configure(c, site)
    return c


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
    written = collab.written(settings(tmp_path))
    assert collab.parsed(written) == {"cms": "cms", "night-shift": "ml-infn/keepers"}
    assert collab.parsed("") == {}


def test_token_lacks_rooms_of_groups_that_its_owner_came_into_later():
    groups = {"cms": "cms", "night-shift": "ml-infn/keepers", "atlas": "atlas"}
    assert may("cms", USER)
    assert not may("night-shift", USER)
    assert lacking(groups, USER) == ["night-shift"]
    assert lacking(groups, {**USER, "groups": ["cms"]}) == []
    assert lacking(groups, {**USER, "groups": [], "scopes": []}) == []


def test_pages_load_only_files_and_have_nothing_inline():
    user = {"name": "<b>anna</b>", "groups": ["<i>cms</i>"]}
    page = look(collab.PAGE.prefix, "Rooms", "rooms")
    html = page.render("rooms.html", user=user, xsrf="x", hub="http://localhost:8000", contact="<u>help</u>")
    assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|<b>|<i>|<u>", html)
    assert re.search(r'src="/services/collab/static/page\.js\?v=[0-9a-f]{12}"', html)
    assert "None is for yours: &lt;i&gt;cms&lt;/i&gt;." in html
    none = page.render("rooms.html", user={"name": "dora", "groups": []}, xsrf="x", hub="", contact="")
    assert "None is for you, because you are in no group." in none
