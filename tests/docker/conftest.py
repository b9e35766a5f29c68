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


class Member:
    """Somebody with a running lab and one kernel in it, for all tests: kernels take memory, and there is little."""

    def __init__(self, lab: Lab):
        self.lab, self.kernel = lab, lab.kernel()

    def run(self, code: str, timeout_s: float = 30) -> str:
        """What code printed."""
        return self.kernel.run(code, timeout_s)


@pytest.fixture(scope="package")
def anna(stack: stacks.Stack) -> Member:
    """The one whose lab tries things."""
    return _member(stack, "anna")


@pytest.fixture(scope="package")
def boris(stack: stacks.Stack) -> Member:
    """Somebody else."""
    return _member(stack, "boris")


def _member(stack: stacks.Stack, name: str) -> Member:
    stack.add_user(name)
    return Member(stack.api.start(name, memory="512M", cpus="1"))


@pytest.fixture
def cell(anna: Member) -> Callable[..., str]:
    """Call it with code for what that printed in anna's lab."""
    return anna.run
