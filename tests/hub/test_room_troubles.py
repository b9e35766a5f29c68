"""What people type in a room stays also where the disk, the store or somebody else does what they should not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pycrdt import Encoder
from support.client import Lab
from support.editors import Editor, on_disk, until_true, write_notebook
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
A_DAY_S = 86400
MARKED = "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n"
SAVE = 2
"""First byte of a message that asks for a save."""


@pytest.fixture(scope="module")
def site(collab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """An instance whose labs are of the room's image, and a person who may have one."""
    made = Site(tmp_path_factory.mktemp("troubles"), test_name(), proxy_command, engine)
    made.extra = "c.Spawner.poll_interval = 1"
    with closing_site(made, request):
        made.start(images=[{"slug": "lab", "title": "Room", "image": collab_image}])
        made.add_user("anna")
        yield made


@pytest.fixture
def path(request) -> str:
    """A notebook of the test's own."""
    return f"{request.node.name}.ipynb"


@pytest.fixture
def lab(site, path) -> Lab:
    """It runs, with an empty notebook."""
    running = site.api.lab("anna") if site.api.server("anna") else site.api.start("anna", memory="1G")
    write_notebook(running, path)
    return running


def editor(site: Site, name: str, lab: Lab, path: str) -> Editor:
    """Somebody who opens the notebook."""
    return Editor(name, lab, path, site.api.session.headers["Authorization"].split()[1])


def home(site: Site) -> Path:
    """The room's folder on the host."""
    return site.root / "users/anna"


def store(site: Site) -> sqlite3.Connection:
    """Where the room keeps what people type."""
    return sqlite3.connect(home(site) / ".jupyter_ystore.db", isolation_level=None)


async def again(site: Site) -> Lab:
    """The room after a crash."""
    site.lab_of("anna").kill()
    await asyncio.to_thread(until, lambda: site.api.server("anna") is None, 60, "the hub to notice")
    return await asyncio.to_thread(site.api.start, "anna", memory="1G")


async def type_and_save(anna: Editor) -> str:
    """What is in the file then."""
    anna.type()
    await until_true(lambda: on_disk(anna.lab, anna.path) == anna.text, 30, "the file to be saved")
    return anna.text


async def test_a_notebook_of_yesterday_goes_on(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        await type_and_save(anna)
    with closing(store(site)) as database:
        database.execute("UPDATE yupdates SET timestamp = timestamp - ?", (A_DAY_S,))
    lab = await again(site)
    async with editor(site, "boris", lab, path) as boris:
        text = await type_and_save(boris)
    lab = await again(site)
    async with editor(site, "carla", lab, path) as carla:
        assert carla.text == text
        assert len(await type_and_save(carla)) > len(text)


async def test_what_could_not_be_kept_once_is_kept_with_the_next_edit(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        await type_and_save(anna)
        with closing(store(site)) as database:
            database.execute("BEGIN IMMEDIATE")  # nobody else may write
            anna.type()
            await until_true(lambda: boris.text == anna.text, 30, "boris to see what cannot be kept")
            database.execute("ROLLBACK")
        text = await type_and_save(anna)
        await until_true(lambda: boris.text == text, 30, "boris to see what can be kept")
        lab = await again(site)
    async with editor(site, "carla", lab, path) as carla:
        assert carla.text == text
        assert on_disk(lab, path) == text


async def test_a_file_that_cannot_be_read_is_put_aside(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        text = await type_and_save(anna)
        await asyncio.to_thread(site.api.stop, "anna")
    (home(site) / path).write_text(MARKED)
    lab = await asyncio.to_thread(site.api.start, "anna", memory="1G")
    async with editor(site, "boris", lab, path) as boris:
        assert boris.text == text
        await until_true(lambda: on_disk(lab, path) == text, 30, "the file to be whole")
    assert (home(site) / f"{path}.unreadable").read_text() == MARKED


async def test_who_reads_a_file_while_it_is_saved_reads_all_of_it(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        for number in range(1, 30):
            anna.type()
            await anna._socket.send_bytes(asking_to_save(number))
            read = await asyncio.gather(*(asyncio.to_thread(on_disk, lab, path) for _ in range(8)))
            assert None not in read, "half of a file, or none"
        await until_true(lambda: on_disk(lab, path) == anna.text, 30, "the file to be saved")


async def test_a_save_that_failed_is_tried_again(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        await type_and_save(anna)
        with closing(store(site)) as database:
            database.execute("BEGIN IMMEDIATE")  # nobody else may write
            before = on_disk(lab, path)
            anna.type()
            await until_true(lambda: boris.text == anna.text, 30, "boris to see it")
            await until_true(lambda: "is not saved" in site.lab_of("anna").logs().decode(), 30, "a save that fails")
            assert on_disk(lab, path) == before
            database.execute("ROLLBACK")
        await until_true(lambda: on_disk(lab, path) == anna.text, 30, "the file to be saved all the same")


async def test_who_saves_by_hand_stays_while_others_type(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        for number in range(1, 20):
            await anna._socket.send_bytes(asking_to_save(number))
            for _ in range(10):
                boris.type()
                await asyncio.sleep(0.005)
        await until_true(lambda: anna.text == boris.text, 30, "anna to see everything")
        assert anna.connections == boris.connections == 1


def asking_to_save(number: int) -> bytes:
    """The message of a browser whose owner pressed Ctrl+S."""
    encoder = Encoder()
    encoder.write_var_uint(SAVE)
    encoder.write_var_string("save")
    encoder.write_var_uint(number)
    return encoder.to_bytes()


async def test_a_file_that_somebody_deleted_keeps_no_other_from_being_saved(site, lab, path):
    gone = f"gone-{path}"
    write_notebook(lab, gone)
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, gone) as boris:
        assert lab.request("DELETE", f"api/contents/{gone}").ok
        boris.type()
        text = anna.type()
        stopping = asyncio.to_thread(site.api.stop, "anna")
        await asyncio.gather(stopping, asyncio.sleep(0))
        assert text in (home(site) / path).read_text()
        assert not (home(site) / gone).exists()
