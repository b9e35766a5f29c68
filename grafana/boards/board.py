"""What a board is made of: rows of panels, each with what it asks Prometheus. `drawing` makes Grafana's JSON of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Look = Literal["lines", "areas", "steps", "number", "ranking", "table", "states"]
"""Areas are stacked; steps are counts, as bars; a ranking has the newest values only; states are 1 (well) or 0."""
WHOLE = 24
"""Parts that the page is wide."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    about: str
    """What it shows and what is well, for who points at its title."""
    unit: str
    """As Grafana has it: short, percentunit (0 to 1), bytes, binBps (bytes in a second), s, watt, celsius..."""
    queries: Mapping[str, str]
    """How a line is called, with {{label}} for what tells it from others -> PromQL. In tables: the column."""
    look: Look = "lines"
    width: int = WHOLE // 2
    limits: tuple[float, float] | None = None
    """Of a number: from where on it is amber, and red."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Of a table: columns with another unit."""


@dataclass(frozen=True)
class Row:
    """Panels under one heading, from left to right, as many beside each other as fit."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Choice:
    """Values of a label that whoever looks may narrow the board down to: `label=~"$name"` in queries."""

    name: str
    title: str
    query: str
    """As Grafana has it: label_values(SERIES, LABEL)."""


@dataclass(frozen=True)
class Board:
    """One dashboard. Its name is in its file, and in links to it, so it stays."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()
