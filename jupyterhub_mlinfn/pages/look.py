"""A page's HTML, and the files that it loads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

TEMPLATES = Path(__file__).parent.parent / "templates"
_environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class Asset:
    """One file that a page loads."""

    kind: str
    content: bytes

    @property
    def version(self) -> str:
        """Changes when the content does, so that browsers may keep it."""
        return hashlib.sha256(self.content).hexdigest()[:12]


@dataclass(frozen=True)
class Look:
    """How one page looks: its title, and its files by name."""

    prefix: str
    title: str
    assets: Mapping[str, Asset]

    def render(self, template: str, **words: Any) -> str:
        """A template of ours with these words."""
        files = {name.replace(".", "_"): f"{self.prefix}static/{name}?v={asset.version}"
                 for name, asset in self.assets.items()}  # fmt: skip
        home = {"title": self.title, "prefix": self.prefix}
        return _environment.get_template(f"mlinfn/{template}").render(**files, **home, **words)


def look(prefix: str, title: str, own: str) -> Look:
    """The look of a page whose style and script are OWN.css and OWN.js, beside what all pages have."""
    return Look(prefix, title, {
        "page.css": _asset("text/css", "pages.css", "bare.css", "service.css", f"{own}.css"),
        "page.js": _asset("text/javascript", "service.js", f"{own}.js"),
        "logo.svg": _asset("image/svg+xml", "logo.svg"),
    })  # fmt: skip


def _asset(kind: str, *parts: str) -> Asset:
    return Asset(kind, b"".join((TEMPLATES / "mlinfn" / name).read_bytes() for name in parts))
