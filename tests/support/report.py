"""How long each part of the suite took, and which tests failed, for fixtures that show evidence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

PARTS = ("stack", "browser", "docker")
seconds: Counter[str] = Counter()
counts: Counter[str] = Counter()


def part_of(item: pytest.Item) -> str:
    """The heaviest marker of a test, or the name of its folder under tests/."""
    for part in PARTS:
        if item.get_closest_marker(part):
            return part
    folder = Path(item.path).parent.name
    return "unit" if folder == "tests" else folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Say which part a report is about, and remember on the test, its module and so on that something failed."""
    report = yield
    report.part = part_of(item)
    if report.failed:
        for node in item.listchain():
            node.failed = True
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the time of each phase of a test; where several processes run tests, in the one that tells."""
    seconds[report.part] += report.duration
    counts[report.part] += report.when == "call"


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what each part took."""
    terminalreporter.section("time of each part")
    for part, took in sorted(seconds.items(), key=lambda entry: entry[1]):
        terminalreporter.line(f"{part:10} {took:7.1f} s  {counts[part]:4} tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes longer than the suite may, unless -m asks for it: an own -m replaces that of setup.cfg."""
    if "endurance" not in config.getoption("markexpr").replace("not endurance", ""):
        long = [item for item in items if item.get_closest_marker("endurance")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
