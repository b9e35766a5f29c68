"""The service that measures folders, as compose.yaml has it, on homes that only their owners open."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import requests
from support.places import test_name as new_name
from support.stack import Stack
from support.wait import until

pytestmark = pytest.mark.stack
MEMBER = 70001


@pytest.fixture(scope="module")
def stack(engine, images, tmp_path_factory) -> Iterator[Stack]:
    """The service alone, and a home."""
    stack = Stack(tmp_path_factory.mktemp("stack"), new_name(), engine)
    try:
        stack.prepare()
        home = stack.root / "users/anna"
        home.mkdir(mode=0o700)
        (home / "data").write_bytes(b"x" * 1_000_000)
        for path in (home, home / "data"):
            os.chown(path, MEMBER, MEMBER)
        stack.compose("up", "--detach", "--wait", "--no-deps", "dirsize")
        yield stack
    finally:
        print(stack.logs())  # shown if something failed
        stack.close()


def told(stack: Stack) -> list[str]:
    """Lines for Prometheus."""
    return requests.get(f"http://127.0.0.1:{stack.port + 16}/metrics", timeout=5).text.splitlines()


def test_a_home_of_its_owner_alone_is_measured(stack):
    until(lambda: 'dirsize_entries_count{directory="anna",kind="users"} 2.0' in told(stack), 30, "the home")
    [size] = [line for line in told(stack) if line.startswith('dirsize_total_size_bytes{directory="anna"')]
    assert 1_000_000 <= float(size.split()[-1]) < 1_100_000
    assert stack.listening() == {("127.0.0.1", 16)}


def test_it_has_one_capability_and_writes_nothing(stack):
    inside = stack.service("dirsize")
    status = inside.exec_run("grep ^CapEff /proc/1/status").output.decode()
    assert int(status.split()[1], 16) == 1 << 2, "DAC_READ_SEARCH"
    assert inside.exec_run("touch /data/users/anna/x").exit_code != 0
