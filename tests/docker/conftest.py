"""One stack with two members' labs for all tests of isolation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support import stack as stacks
from support.client import Lab


@pytest.fixture(scope="package")
def stack(engine, images: dict[str, str], tmp_path_factory, request) -> Iterator[stacks.Stack]:
    """Hub, proxy and guard in containers, with small limits, so that reaching them costs little."""
    folder = tmp_path_factory.mktemp("stack")
    limits = {"processes": 300, "log_size": "1M"}
    with stacks.running(folder, engine, request, limits=limits) as stack:
        yield stack


@pytest.fixture(scope="package")
def anna(stack: stacks.Stack) -> Lab:
    """The lab that tries things."""
    return _lab(stack, "anna")


@pytest.fixture(scope="package")
def boris(stack: stacks.Stack) -> Lab:
    """The lab of somebody else."""
    return _lab(stack, "boris")


def _lab(stack: stacks.Stack, name: str) -> Lab:
    stack.api.add_user(name)
    return stack.api.start(name, memory="512M", cpus="1")


@pytest.fixture
def cell(anna: Lab) -> Callable[..., str]:
    """Call it with code for what that printed in a kernel of anna's lab."""
    return anna.run
