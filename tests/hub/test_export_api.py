"""Who may ask a hub for copies of its databases, and what they get."""

from __future__ import annotations

import sqlite3

import requests

CONFIG = """
from pathlib import Path
from jupyterhub_mlinfn import export
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.extra_handlers = export.handlers(Path({folder!r}))
c.JupyterHub.custom_scopes = {{export.SCOPE: {{"description": "Copies"}}}}
c.JupyterHub.services = [{{"name": "backup", "api_token": "0123456789abcdef"}},
                         {{"name": "other", "api_token": "fedcba9876543210"}}]
c.JupyterHub.load_roles = [{{"name": "backup", "scopes": [export.SCOPE], "services": ["backup"]}}]
"""


def asked(hub, token: str) -> requests.Response:
    headers = {"Authorization": f"token {token}"}
    return requests.post(f"http://127.0.0.1:{hub.port}/hub/api/mlinfn/export", headers=headers, timeout=10)


def test_the_service_and_nobody_else_has_the_databases_copied(stock_hub, tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    with sqlite3.connect(folder / "identity.sqlite") as book:
        book.execute("CREATE TABLE people (name TEXT)")
    hub = stock_hub(CONFIG.format(folder=str(folder)))
    assert [asked(hub, token).status_code for token in ("", "wrong", "fedcba9876543210")] == [403, 403, 403]
    assert not (folder / "export").exists()
    answer = asked(hub, "0123456789abcdef")
    assert (answer.status_code, answer.json()) == (200, {"databases": ["identity.sqlite"]})
    assert (folder / "export/identity.sqlite").stat().st_size
    (folder / "identity.sqlite").write_bytes(b"no database, " * 100)
    assert asked(hub, "0123456789abcdef").status_code == 500
