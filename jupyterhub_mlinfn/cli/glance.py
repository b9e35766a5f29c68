"""How services and labs are, from one question to the Engine: `mlinfn status` has to answer within a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import Settings
from . import compose, engine

LABELS = ("com.docker.compose.project", "com.docker.compose.service", compose.INSTANCE_LABEL, compose.SERVICE_LABEL,
          "it.infn.mlinfn.user")  # fmt: skip
FORMAT = "\t".join(["{{.State}}", "{{.Status}}", *(f'{{{{.Label "{label}"}}}}' for label in LABELS)])
HEALTH = {"(healthy)": "healthy", "(unhealthy)": "unhealthy", "(health: starting)": "starting"}
"""End of what the Engine says of a container that runs -> one word, as compose.state has it."""


@dataclass(frozen=True)
class Row:
    """One container, running or not."""

    state: str
    status: str
    """Such as Up 5 minutes (healthy)."""
    project: str
    service: str
    """What Compose calls it."""
    instance: str
    helps: str
    """Which service of ours, beside labs, it is; empty for labs."""
    user: str


def look() -> tuple[Row, ...]:
    """All containers of this machine. Raises OperatorError where Docker does not answer."""
    return parsed(engine.docker("ps", "--all", "--format", FORMAT))


def parsed(text: str) -> tuple[Row, ...]:
    """The rows of the Engine's answer."""
    return tuple(Row(*line.split("\t")) for line in text.splitlines())


def services(rows: Sequence[Row], settings: Settings) -> dict[str, str]:
    """Service -> healthy, starting, exited..., for those that have a container."""
    return {row.service: state(row) for row in rows if row.project == settings.instance}


def state(row: Row) -> str:
    """One word for how a container is."""
    said = [word for end, word in HEALTH.items() if row.status.endswith(end)]
    return said[0] if said and row.state == "running" else row.state


def labs(rows: Sequence[Row], settings: Settings) -> tuple[str, ...]:
    """User of each running lab."""
    return tuple(row.user or "?" for row in rows
                 if row.instance == settings.instance and row.state == "running" and not row.helps)  # fmt: skip
