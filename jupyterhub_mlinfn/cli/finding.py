"""What a look at an instance says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """How one thing is. `remedy` is the command or the step that mends it, empty where nothing is to be done."""

    level: Literal["green", "amber", "red"]
    title: str
    reason: str
    remedy: str = ""
