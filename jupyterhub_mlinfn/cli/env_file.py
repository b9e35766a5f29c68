"""The file of variables that Compose reads: how it is written, and what was written last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9_./:,@+=-]*")


def text(values: Mapping[str, str]) -> str:
    """The variables as Compose reads them; whatever is not plain in single quotes, which keep `$` as it is."""
    lines = ["# Written by `mlinfn prepare` from mlinfn.yaml; changes made here are lost."]
    return "\n".join([*lines, *(f"{name}={_quoted(value)}" for name, value in values.items())]) + "\n"


def read(path: Path) -> dict[str, str]:
    """The variables as they were written last; empty if they were not."""
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: _unquoted(value) for name, value in pairs}


def _quoted(value: str) -> str:
    return value if PLAIN.fullmatch(value) else "'" + value.replace("'", "\\'") + "'"


def _unquoted(value: str) -> str:
    return value[1:-1].replace("\\'", "'") if value.startswith("'") else value
