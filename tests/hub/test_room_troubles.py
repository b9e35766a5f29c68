"""What people type in a room stays also where the disk, the store or somebody else does what they should not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pycrdt import Encoder
from support.client import Lab
from support.editing import editor, gone, start
from support.editors import Editor, on_disk, until_true, write_notebook
from support.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
A_DAY_S = 86400
MARKED = "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n"
SAVE = 2
"""First byte of a message that asks for a save."""


def home(editing: Site) -> Path:
    """The room's folder on the host."""
    return editing.root / "users/anna"


def store(editing: Site) -> sqlite3.Connection:
    """Where the room keeps what people type."""
    return sqlite3.connect(home(editing) / ".jupyter_ystore.db", isolation_level=None)


async def again(editing: Site) -> Lab:
    """The room after a crash."""
    editing.lab_of("anna").kill()
    await gone(editing)
    return await asyncio.to_thread(start, editing)


async def type_and_save(anna: Editor) -> str:
    """What is in the file then."""
    anna.type()
    await until_true(lambda: on_disk(anna.lab, anna.path) == anna.text, 30, "the file to be saved")
    return anna.text


async def test_a_notebook_of_yesterday_goes_on(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        await type_and_save(anna)
    with closing(store(editing)) as database:
        database.execute("UPDATE yupdates SET timestamp = timestamp - ?", (A_DAY_S,))
    opened = await again(editing)
    async with editor(editing, "boris", opened, notebook) as boris:
        text = await type_and_save(boris)
    opened = await again(editing)
    async with editor(editing, "carla", opened, notebook) as carla:
        assert carla.text == text
        assert len(await type_and_save(carla)) > len(text)


async def test_what_could_not_be_kept_once_is_kept_with_the_next_edit(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        await type_and_save(anna)
        with closing(store(editing)) as database:
            database.execute("BEGIN IMMEDIATE")  # nobody else may write
            anna.type()
            await until_true(lambda: boris.text == anna.text, 30, "boris to see what cannot be kept")
            database.execute("ROLLBACK")
        text = await type_and_save(anna)
        await until_true(lambda: boris.text == text, 30, "boris to see what can be kept")
        opened = await again(editing)
    async with editor(editing, "carla", opened, notebook) as carla:
        assert carla.text == text
        assert on_disk(opened, notebook) == text


async def test_a_file_that_cannot_be_read_is_put_aside(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        text = await type_and_save(anna)
        await asyncio.to_thread(editing.api.stop, "anna")
    (home(editing) / notebook).write_text(MARKED)
    opened = await asyncio.to_thread(start, editing)
    async with editor(editing, "boris", opened, notebook) as boris:
        assert boris.text == text
        await until_true(lambda: on_disk(opened, notebook) == text, 30, "the file to be whole")
    assert (home(editing) / f"{notebook}.unreadable").read_text() == MARKED


async def test_who_reads_a_file_while_it_is_saved_reads_all_of_it(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        for number in range(1, 30):
            anna.type()
            await anna._socket.send_bytes(asking_to_save(number))
            read = await asyncio.gather(*(asyncio.to_thread(on_disk, opened, notebook) for _ in range(8)))
            assert None not in read, "half of a file, or none"
        await until_true(lambda: on_disk(opened, notebook) == anna.text, 30, "the file to be saved")


async def test_a_save_that_failed_is_tried_again(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        await type_and_save(anna)
        with closing(store(editing)) as database:
            database.execute("BEGIN IMMEDIATE")  # nobody else may write
            before = on_disk(opened, notebook)
            anna.type()
            await until_true(lambda: boris.text == anna.text, 30, "boris to see it")
            await until_true(lambda: "is not saved" in editing.lab_of("anna").logs().decode(), 30, "a save that fails")
            assert on_disk(opened, notebook) == before
            database.execute("ROLLBACK")
        await until_true(lambda: on_disk(opened, notebook) == anna.text, 30, "the file to be saved all the same")


async def test_who_saves_by_hand_stays_while_others_type(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
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


async def test_a_file_that_somebody_deleted_keeps_no_other_from_being_saved(editing, opened, notebook):
    deleted = f"deleted-{notebook}"
    write_notebook(opened, deleted)
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, deleted) as boris:
        assert opened.request("DELETE", f"api/contents/{deleted}").ok
        boris.type()
        text = anna.type()
        stopping = asyncio.to_thread(editing.api.stop, "anna")
        await asyncio.gather(stopping, asyncio.sleep(0))
        assert text in (home(editing) / notebook).read_text()
        assert not (home(editing) / deleted).exists()
