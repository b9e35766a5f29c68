"""What the TAB key offers: names that are there. It never says anything else, and waits for nothing that takes long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from ..errors import MLINFNError
from .site import Site

Complete = Callable[[typer.Context, str], list[str]]
LONGEST_S = 0.3
"""Docker has so long to answer; then nothing is offered."""


def _of(names: Callable[[Site], Iterable[str]]) -> Complete:
    """What offers the names that begin with what was typed; nothing where they cannot be known."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        named = ctx.find_root().params.get("config")
        site = Site(Path(named)) if named else Site.by_default()
        try:
            return sorted(each for each in set(names(site)) if each.startswith(incomplete))
        except (MLINFNError, OSError, ValueError):
            return []

    return complete


def _labs(site: Site) -> Iterable[str]:
    from . import engine
    from .labs_seen import PREFIX

    ours = f"label={PREFIX}instance={site.settings.instance}"
    name = f'{{{{.Label "{PREFIX}user"}}}}/{{{{.Label "{PREFIX}server"}}}}'
    said = engine.docker("ps", "--filter", ours, "--format", name, timeout_s=LONGEST_S)
    return (line.rstrip("/") for line in said.splitlines())


def _people(site: Site) -> Iterable[str]:
    return json.loads(site.passwords.read_text())


def _services(site: Site) -> Iterable[str]:
    from . import compose

    return (*compose.expected(site.settings), *compose.optional(site))


def _targets(site: Site) -> Iterable[str]:
    return site.settings.backup.targets


def _buildable(site: Site) -> Iterable[str]:
    from . import offered

    return offered.buildable()


def _pulled(site: Site) -> Iterable[str]:
    from . import offered

    return offered.to_pull(site.settings, [])


labs, people, services = _of(_labs), _of(_people), _of(_services)
targets, buildable, pulled = _of(_targets), _of(_buildable), _of(_pulled)
