"""Grafana beside the hub: who may look, and where it is. How it signs people in is told in grafana/grafana.ini."""

from __future__ import annotations

import json
from typing import Any

from .pages import Page
from .settings import Settings

PAGE = Page("grafana", offset=13, uid=69010, secret="grafana_token", callback="login/generic_oauth")
SCOPE = "read:users:name!user"
"""All that it learns of whom it signs in: their name, their groups, and whether they are an admin."""
TARGETS = "monitoring/prometheus/config/targets/grafana.json"
"""Where Prometheus finds it, in a file below the folder of all data. `mlinfn up` writes it."""


def runs(settings: Settings) -> bool:
    """Whether it did when `mlinfn up` looked last: its image has to be fetched, and cannot be everywhere."""
    path = settings.root / TARGETS
    return settings.monitoring.enabled and path.is_file() and bool(json.loads(path.read_text()))


def configure(c: Any, settings: Settings) -> None:
    """The hub knows Grafana, lets everybody in, and shows where it is. Nothing where it does not run."""
    if not runs(settings):
        return
    PAGE.configure(c, settings, [SCOPE])
    c.JupyterHub.template_vars["monitoring_url"] = PAGE.url(settings)
