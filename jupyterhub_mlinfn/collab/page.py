"""The page's HTML, and the files that it loads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from . import PREFIX

TEMPLATES = Path(__file__).parent.parent / "templates"
PARTS = {
    "rooms.css": ("text/css", ("pages.css", "bare.css", "rooms.css")),
    "rooms.js": ("text/javascript", ("rooms.js",)),
    "logo.svg": ("image/svg+xml", ("logo.svg",)),
}
"""File -> its type, and what it is put together from."""
_environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class Asset:
    """One file that the page loads."""

    kind: str
    content: bytes

    @property
    def version(self) -> str:
        """Changes when the content does, so that browsers may keep it."""
        return hashlib.sha256(self.content).hexdigest()[:12]


def _asset(kind: str, parts: tuple[str, ...]) -> Asset:
    return Asset(kind, b"".join((TEMPLATES / "mlinfn" / name).read_bytes() for name in parts))


ASSETS = {name: _asset(*parts) for name, parts in PARTS.items()}


def render(template: str, **words: Any) -> str:
    """A page of ours."""
    files = {name.replace(".", "_"): f"{PREFIX}static/{name}?v={asset.version}" for name, asset in ASSETS.items()}
    return _environment.get_template(f"mlinfn/{template}").render(**files, **words)
