"""Prints what the tests chosen by these flags of pytest need installed: words out of engine, images, browser."""

from __future__ import annotations

import contextlib
import os
import sys

import pytest

MEANS = {
    "docker": ("engine", "images"),
    "stack": ("engine", "images"),
    "browser": ("engine", "images", "browser"),
    "endurance": ("engine", "images", "browser"),
}


class Collected:
    """A plugin that notes the markers of the tests that would run."""

    def __init__(self):
        self.needs: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called by pytest after deselection."""
        for item in session.items:
            for marker in item.iter_markers():
                self.needs.update(MEANS.get(marker.name, ()))


def main(flags: list[str]) -> int:
    """Exit status 0; errors of collection are left for the real run to report."""
    collected = Collected()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main(["--collect-only", "-q", *flags], plugins=[collected])
    print(*sorted(collected.needs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
