"""The parts of the page of backups that need no hub."""

from __future__ import annotations

import re

from traitlets.config import Config

from jupyterhub_mlinfn import backup_page
from jupyterhub_mlinfn.pages.look import look
from jupyterhub_mlinfn.settings import Settings


def configured(tmp_path, **more) -> Config:
    (tmp_path / "secrets/hub").mkdir(parents=True)
    (tmp_path / "secrets/hub/backup_page_token").write_text("its token\n")
    c = Config()
    c.JupyterHub.services, c.JupyterHub.extra_handlers = [], []
    c.JupyterHub.extra_user_scopes, c.JupyterHub.template_vars = set(), {}
    backup_page.configure(c, Settings(root=tmp_path, **more))
    return c.JupyterHub


def test_hub_knows_the_page_and_what_it_may_ask_for(tmp_path):
    hub = configured(tmp_path)
    [service] = hub.services
    assert (service["name"], service["url"], service["api_token"]) == ("backup", "http://127.0.0.1:8009", "its token")
    assert service["oauth_client_allowed_scopes"] == ["custom:mlinfn:restore"]
    assert hub.extra_user_scopes == {"access:services!service=backup"}
    assert hub.template_vars["backups_url"] == "http://backup--service.localhost:8000/services/backup/"


def test_hub_without_backups_has_nothing_of_it(tmp_path):
    hub = configured(tmp_path, backup={"targets": []})
    assert (hub.services, hub.extra_handlers, hub.template_vars) == ([], [], {})


def test_page_loads_only_files_and_has_nothing_inline():
    page = look(backup_page.PAGE.prefix, "Backups", "backups")
    html = page.render("backups.html", user={"name": '"><b>a/?#'}, xsrf="x", hub="http://localhost:8000", contact="")
    assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|<b>", html)
    assert re.search(r'src="/services/backup/static/page\.js\?v=[0-9a-f]{12}"', html)
    assert 'data-lab="http://localhost:8000/user/%22%3E%3Cb%3Ea%2F%3F%23/lab/tree/"' in html


def test_every_part_that_the_script_writes_to_is_in_the_page():
    page = look(backup_page.PAGE.prefix, "Backups", "backups")
    html = page.render("backups.html", user={"name": "anna"}, xsrf="x", hub="", contact="")
    wanted = set(re.findall(r'byId\("([a-z-]+)"\)', page.assets["page.js"].content.decode())) - {"here"}
    assert {each for each in wanted if f'id="{each}"' not in html} == set()
