"""A stack that is watched, and what its Prometheus answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import requests

from jupyterhub_mlinfn.cli import compose
from jupyterhub_mlinfn.cli.site import Site
from support.backups import mlinfn
from support.stack import Stack

HOME, MEMBER = 1_000_000, 70001
"""Bytes in zoe's home, and her uid."""


class CopiedSite(Site):
    """A site whose compose.yaml is the copy that a test has, beside its own configuration."""

    @property
    def compose_file(self) -> Path:
        """The copy."""
        return self.config.parents[1] / "compose/compose.yaml"


class Monitored(Stack):
    """It, with questions for Prometheus."""

    said: list[str]
    """What could not be started."""

    @property
    def site(self) -> Site:
        """What the functions behind `mlinfn` work on, with the settings as they are written now."""
        return CopiedSite(self.config)

    def prepare(self) -> None:
        """What `mlinfn prepare` makes, and a home and something that is shown to all, which are somebody's."""
        super().prepare()
        for folder in (self.root / "users/zoe", self.root / "shared/zoe"):
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "data").write_bytes(b"x" * HOME)
            for path in (folder, folder / "data"):
                os.chown(path, MEMBER, MEMBER)

    def renew(self) -> None:
        """What `mlinfn up` does after mlinfn.yaml was changed."""
        self.write_settings()
        self.prepare()
        compose.up(self.site, quiet=True)
        compose.restart_if_settings_are_newer(self.site, quiet=True)

    def status(self) -> dict[str, dict]:
        """What `mlinfn status` finds, by title."""
        findings = json.loads(mlinfn(self.config, "status", "--json").stdout)["findings"]
        return {each["title"]: each for each in findings}

    def got(self, what: str, **parameters: str) -> dict[str, Any]:
        """What Prometheus answers; nothing while it starts."""
        try:
            url = f"http://127.0.0.1:{self.port + 10}/api/v1/{what}"
            return requests.get(url, params=parameters, timeout=10).json()["data"]
        except requests.RequestException:
            return {}

    def found(self, query: str) -> list[dict[str, Any]]:
        """The series of an expression, as Prometheus tells them."""
        return self.got("query", query=query).get("result", [])

    def values(self, query: str) -> dict[frozenset, float]:
        """Labels -> value, of an expression."""
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in self.found(query)}

    def value(self, query: str) -> float | None:
        """Of the one series of an expression; None while there is none."""
        return next(iter(self.values(query).values()), None)

    def is_ready(self) -> bool:
        """Whether Alertmanager has read its configuration."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port + 12}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False
