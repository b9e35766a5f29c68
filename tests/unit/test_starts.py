"""How starts are counted: outcomes and reasons out of a vocabulary that is known beforehand."""

from __future__ import annotations

import ast
import asyncio
import logging
from pathlib import Path

import pytest
from docker.errors import APIError
from prometheus_client import REGISTRY
from test_promises import PACKAGE, imported

from jupyterhub_mlinfn import refusals, starts
from jupyterhub_mlinfn.errors import OperatorError, UserError

LOG = logging.getLogger("of-a-test")
NOT_OF_STARTS = {"password"}


def value(name: str, **labels: str) -> float | None:
    """A value of JupyterHub's page."""
    return REGISTRY.get_sample_value(f"mlinfn_{name}", labels)


@pytest.mark.parametrize(("error", "ends"), [
    (UserError("no"), ("refused", "options")), (UserError("no", reason="gpu_wait"), ("refused", "gpu_wait")),
    (UserError("no", reason="exited"), ("failed", "exited")), (UserError("no", reason="made up"), ("failed", "other")),
    (OperatorError("no"), ("failed", "site")), (APIError("no"), ("failed", "engine")),
    (KeyError("no"), ("failed", "other")), (UserError("no", reason="gpu_left"), ("cancelled", "gpu_left")),
    (asyncio.CancelledError(), ("cancelled", "")), (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), ("failed", "other")),
])  # fmt: skip
def test_an_end_has_an_outcome_and_a_reason(error, ends):
    name = f"{type(error).__name__}-{ends[1]}"
    start = starts.Start()
    start.profile = name
    with pytest.raises(BaseException), start.counted(60), refusals.translated("anna", LOG):  # noqa: B017, PT011
        raise error
    assert value("starts_total", profile=name, outcome=ends[0], reason=ends[1]) == 1
    assert value("start_seconds_count", profile=name, phase="total") is None


def test_what_jupyterhub_breaks_off_for_its_length_has_failed():
    assert starts.ending(asyncio.CancelledError(), is_late=True) == ("failed", "timeout")


def test_phases_add_up():
    start = starts.Start()
    start.profile = "adds-up"
    with start.counted(60):
        for phase in ("queue", "pull", "queue", "create", "boot"):
            start._lap -= 10
            start.spent(phase)
    spent = {phase: value("start_seconds_sum", profile="adds-up", phase=phase) for phase in (*starts.PHASES, "total")}
    assert [round(spent[phase]) for phase in starts.PHASES] == [20, 10, 10, 10]
    assert value("starts_total", profile="adds-up", outcome="started", reason="") == 1


def test_what_is_expected_is_there_with_zero():
    starts.expect(["expected"])
    assert value("starts_total", profile="expected", outcome="failed", reason="engine") == 0
    assert value("starts_total", profile="expected", outcome="refused", reason="options") is None
    for phase in (*starts.PHASES, starts.TOTAL):
        assert value("start_seconds_count", profile="expected", phase=phase) == 0


def reached(noun: str, found: set[str]) -> set[str]:
    """What the spawner is made of: a module or folder of the package, and all that it imports."""
    if noun not in found:
        found.add(noun)
        for other in {other for path in files(noun) for other in imported(path)}:
            reached(other, found)
    return found


def files(noun: str) -> list[Path]:
    """Those of a module or folder."""
    return [*PACKAGE.glob(f"{noun}.py"), *PACKAGE.glob(f"{noun}/*.py")]


def reasons() -> set[str]:
    """Of each UserError in what a start goes through."""
    found = {"options"}
    for path in (path for noun in reached("spawner", set()) for path in files(noun)):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        given = [each.value for call in calls if getattr(call.func, "id", "") == "UserError" for each in call.keywords]
        found |= {node.value for value in given for node in ast.walk(value) if isinstance(node, ast.Constant)}
    return found


def test_every_reason_of_a_refusal_is_known():
    known = {*starts.WHY_REFUSED, *starts.WHY_FAILED, *starts.WHY_CANCELLED}
    assert reasons() - NOT_OF_STARTS <= known
    assert known - reasons() == {"site", "timeout", "other"}
