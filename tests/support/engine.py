"""The machine's own Docker Engine, with names that are cleaned up and evidence when a test fails."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial

import docker
import pytest
from docker.errors import APIError, DockerException, NotFound

from support import secrecy
from support.places import test_name

NAME = re.compile(r"^t(\d+)-\d+")
LAST_LINES = 60


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine that runs here. What tests that died have left behind is removed first."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        pytest.fail(f"No Docker Engine answers ({error}). ./test.sh installs and starts one.")
    _remove(client, _is_orphan)
    yield client
    client.close()


@pytest.fixture
def instance(engine: docker.DockerClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for this test. Containers, networks and volumes whose names begin with it are removed afterwards."""
    name = test_name()
    yield name
    if getattr(request.node, "failed", False):
        show_evidence(engine, name)
    remove_all(engine, name)


def remove_all(client: docker.DockerClient, prefix: str) -> None:
    """Remove every container, network and volume whose name is `prefix` or begins with it and a hyphen.

    What the containers wrote is searched for secrets when all tests are over.
    """
    read_logs(client, prefix)
    _remove(client, partial(_belongs, prefix))


def containers_of(client: docker.DockerClient, prefix: str) -> list:
    """All containers, running or not, whose names begin with `prefix`."""
    return [c for c in client.containers.list(all=True, ignore_removed=True) if _belongs(prefix, c.name)]


def read_logs(client: docker.DockerClient, prefix: str) -> None:
    """What the containers of a test wrote may have no secret."""
    for container in containers_of(client, prefix):
        _forgiving(lambda container=container: secrecy.run.read(f"container {container.name}", container.logs()))


def show_evidence(client: docker.DockerClient, prefix: str) -> None:
    """Print state, settings and last log lines of each container of a test."""
    for container in containers_of(client, prefix):
        state = {**container.attrs["State"], "Image": container.attrs["Config"]["Image"]}
        print(f"--- container {container.name}: {json.dumps(state)}")
        print(json.dumps(container.attrs["HostConfig"]))
        print(container.logs(tail=LAST_LINES).decode(errors="replace"))


def _belongs(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix + "-")


def _is_orphan(name: str) -> bool:
    made_by = NAME.match(name)
    return bool(made_by) and not os.path.exists(f"/proc/{made_by.group(1)}")


def _remove(client: docker.DockerClient, wanted) -> None:
    for container in client.containers.list(all=True, ignore_removed=True):
        if wanted(container.name):
            _forgiving(partial(container.remove, force=True, v=True))
    for things in (client.networks, client.volumes):
        for thing in things.list():
            if wanted(thing.name):
                _forgiving(thing.remove)


def _forgiving(remove) -> None:
    """Somebody else, such as the hub under test, may be removing the same thing."""
    try:
        remove()
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:
            raise
