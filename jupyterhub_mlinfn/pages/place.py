"""What the service of a page is told: where it listens, where the hub is, and who it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where the service is; it reads nothing else."""

    port: int
    api: str
    """The hub's API, as the service reaches it."""
    hub: str
    """The hub, as people reach it, without a slash at the end."""
    page: str
    """The page itself, as people reach it."""
    token: str = field(repr=False)
    """The service's own. It opens nothing but OAuth."""
    contact: str = ""


def read(environ: Mapping[str, str], secret: Path) -> Place:
    """The place that Compose's variables and the file with the token describe."""
    return Place(
        port=int(environ["MLINFN_PAGE_PORT"]), api=environ["MLINFN_PAGE_API"], hub=environ["MLINFN_PAGE_HUB"],
        page=environ["MLINFN_PAGE_URL"], token=secret.read_text().strip(), contact=environ.get("MLINFN_CONTACT", ""),
    )  # fmt: skip
