"""What is wrong with the GPUs of a machine, or should be known of them."""

from __future__ import annotations

import re

from ..errors import OperatorError
from ..gpus import Found, check, unknown
from ..settings import Settings
from .finding import Finding

_COMMAND = re.compile(r" (?:See|For CDI|Make one(?: that does)?): (.+)$")
"""What mends it, at the end of a note about GPUs."""


def gpu_findings(found: Found, settings: Settings) -> list[Finding]:
    """What is wrong with the GPUs, or should be known: in the settings, and on the machine."""
    try:
        check(found.devices, settings.gpus)
        contradictions = []
    except OperatorError as error:
        contradictions = str(error).splitlines()
    mend = "mend it in mlinfn.yaml, then: mlinfn up"
    nothing = "No GPU is lent, at the latest from the hub's next start"
    return [*(Finding("red", "GPUs", f"{nothing}: {each}", mend) for each in contradictions),
            *map(_gpu_note, found.notes),
            *(Finding("amber", "GPUs", each, f"nvidia-smi, or {mend}")
              for each in unknown(found.devices, settings.gpus))]


def _gpu_note(note: str) -> Finding:
    reason, remedy = _COMMAND.sub("", note), _COMMAND.search(note)
    # Made-up ones were asked for, and devices without a CDI name are lent all the same.
    level = "amber" if "made up" in note or "through NVIDIA's runtime" in note else "red"
    return Finding(level, "GPUs", reason, remedy[1] if remedy else "")
