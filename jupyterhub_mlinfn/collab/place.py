"""What the service is told: where it listens, where the hub is, and whose the rooms are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Everything that the service knows; it reads nothing else."""

    port: int
    api: str
    """The hub's API, as the service reaches it."""
    hub: str
    """The hub, as people reach it, without a slash at the end."""
    page: str
    """The page itself, as people reach it."""
    token: str = field(repr=False)
    """The service's own. It opens nothing but OAuth."""
    groups: Mapping[str, str]
    """Room -> its group."""
    contact: str = ""


def read(environ: Mapping[str, str], secret: Path) -> Place:
    """The place that Compose's variables and the file with the token describe."""
    return Place(
        port=int(environ["MLINFN_COLLAB_PORT"]), api=environ["MLINFN_COLLAB_API"], hub=environ["MLINFN_COLLAB_HUB"],
        page=environ["MLINFN_COLLAB_PAGE"], token=secret.read_text().strip(),
        groups=parsed(environ["MLINFN_COLLAB_ROOMS"]), contact=environ.get("MLINFN_CONTACT", ""),
    )  # fmt: skip


def parsed(text: str) -> dict[str, str]:
    """Room -> its group, as `written` has it. Neither names nor groups have a comma or an equals sign."""
    return dict(each.split("=") for each in text.split(",") if each)
