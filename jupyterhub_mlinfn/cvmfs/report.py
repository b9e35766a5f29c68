"""What the service `cvmfs-probe` tells, and how it is said to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

OK, STUCK, BROKEN, MISSING, UNKNOWN = "ok", "stuck", "broken", "missing", "unknown"
WORDS = {
    STUCK: "does not answer",
    BROKEN: "is mounted, but its client is gone",
    MISSING: "is not mounted",
}
"""What is wrong with a repository, after its name. Of those that are well or not looked at yet nothing is said."""


class Unreadable(ValueError):
    """What answered was not the prober."""


@dataclass(frozen=True)
class State:
    """How a repository is, and since when (epoch seconds)."""

    state: str
    since: float


NOTHING_SAID: Mapping[str, State] = MappingProxyType({})
"""The report where there is no prober."""


def text(states: Mapping[str, State]) -> str:
    """The report as the service sends it."""
    return json.dumps({"repositories": {name: asdict(state) for name, state in states.items()}})


def parsed(body: str | bytes) -> dict[str, State]:
    """The report that was sent. Raises Unreadable."""
    try:
        told = json.loads(body)["repositories"]
        return {str(name): State(str(each["state"]), float(each["since"])) for name, each in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"this is no report of repositories: {error!r}") from error


def trouble(states: Mapping[str, State], names: Iterable[str]) -> list[str]:
    """What is wrong with those of the repositories of which something is, such as "sft.cern.ch does not answer"."""
    return [f"{name} {WORDS[states[name].state]}" for name in names
            if name in states and states[name].state in WORDS]  # fmt: skip
