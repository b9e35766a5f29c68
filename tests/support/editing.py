"""A lab of the room's image and a notebook in it, for tests of what becomes of the edits of several people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support.client import Lab
from support.editors import Editor, write_notebook
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until


@pytest.fixture(scope="module")
def editing(collab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """An instance whose labs are of the room's image, and a person who may have one."""
    made = Site(tmp_path_factory.mktemp("editing"), test_name(), proxy_command, engine)
    made.extra = "c.Spawner.poll_interval = 1"
    with closing_site(made, request):
        made.start(images=[{"slug": "lab", "title": "Room", "image": collab_image}])
        made.add_user("anna")
        yield made


@pytest.fixture
def notebook(request) -> str:
    """Path of a notebook of the test's own."""
    return f"{request.node.name}.ipynb"


@pytest.fixture
def opened(editing: Site, notebook: str) -> Lab:
    """The lab runs, and the notebook in it is empty."""
    running = editing.api.lab("anna") if editing.api.server("anna") else start(editing)
    write_notebook(running, notebook)
    return running


def start(editing: Site) -> Lab:
    """The lab, which did not run."""
    return editing.api.start("anna", memory="1G")


def editor(editing: Site, name: str, opened: Lab, notebook: str) -> Editor:
    """Somebody who opens the notebook."""
    return Editor(name, opened, notebook, editing.api.session.headers["Authorization"].split()[1])


async def gone(editing: Site) -> None:
    """The hub has noticed that the lab is not there any more."""
    await asyncio.to_thread(until, lambda: editing.api.server("anna") is None, 60, "the hub to notice")
