"""One running stack for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from support import stack as stacks


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, images: dict[str, str], tmp_path_factory, request) -> Iterator[stacks.Stack]:
    """Hub, proxy and guard in containers, healthy, with our lab to pick."""
    with stacks.running(tmp_path_factory.mktemp("stack"), engine, request) as stack:
        yield stack
