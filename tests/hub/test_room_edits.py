"""What people type in a room stays: beside a restart, after a crash, and where files change by other means."""

from __future__ import annotations

import asyncio
import random
import statistics
import time

import pytest
from support.editing import editor, gone, start
from support.editors import Editor, on_disk, until_true

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
BY_HAND = """
import pathlib
file = pathlib.Path({path!r})
file.write_text(file.read_text().replace({word!r}, "by hand."))
"""
EDITS = 2000
MEDIAN_S = 0.15


async def type_all(editor: Editor, edits: int = EDITS) -> None:
    """So many edits, as fast as people and programs together hardly are."""
    for _ in range(edits):
        editor.type()
        await asyncio.sleep(random.uniform(0, 0.02))


async def settled(*editors: Editor, edits: int) -> str:
    """The text that all have, once it has all edits."""
    await until_true(lambda: all(len(each.words) == edits and each.text == editors[0].text for each in editors), 60,
                     lambda: f"{edits} edits to be there for all: {', '.join(map(told, editors))}")  # fmt: skip
    return editors[0].text


def told(editor: Editor) -> str:
    """How it stands with one of them, for who reads a failure."""
    return (f"{editor.name} made {len(editor.made)}, has {len(editor.words)}, connected {editor.connections} times, "
            f"last closed with {editor.closed_with}")  # fmt: skip


async def test_two_people_and_a_restart(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        typing = asyncio.gather(type_all(anna), type_all(boris))
        await until_true(lambda: len(anna.made) > EDITS // 2, 60, "half of the edits")
        await asyncio.to_thread(editing.api.stop, "anna")
        await asyncio.to_thread(start, editing)
        await typing
        text = await settled(anna, boris, edits=2 * EDITS)
        assert anna.connections == boris.connections == 2
        assert {*anna.shown, *boris.shown} <= set(anna.words)
        await until_true(lambda: on_disk(opened, notebook) == text, 30, "the file to be the same")


@pytest.mark.alone
async def test_what_one_types_the_other_sees_at_once(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        await asyncio.gather(type_all(anna, 200), type_all(boris, 200))
        await settled(anna, boris, edits=400)
        delays = [*anna.delays_of(boris), *boris.delays_of(anna)]
        assert len(delays) == 400
        print(f"from one to the other: median {1000 * statistics.median(delays):.0f} ms, longest {max(delays):.3f} s")
        assert statistics.median(delays) < MEDIAN_S


async def test_what_was_shown_before_a_crash_is_there_after_it(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        await until_true(lambda: on_disk(opened, notebook) == "", 10, "the room to be at rest")
        await type_all(anna, 20)
        text = await settled(anna, boris, edits=20)
        assert on_disk(opened, notebook) != text, "it was saved already, so nothing is tried here"
        editing.lab_of("anna").kill()
    await gone(editing)
    again = await asyncio.to_thread(start, editing)
    async with editor(editing, "carla", again, notebook) as carla:
        assert carla.text == text
        await until_true(lambda: on_disk(again, notebook) == text, 30, "the file to be the same")


async def test_half_a_file_that_a_crash_left_is_made_whole(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        word = anna.type()
        await until_true(lambda: on_disk(opened, notebook) == word, 30, "the file to be saved")
        editing.lab_of("anna").kill()
    await gone(editing)
    file = editing.root / "users/anna" / notebook
    file.write_text(file.read_text()[:50])
    again = await asyncio.to_thread(start, editing)
    async with editor(editing, "boris", again, notebook) as boris:
        assert boris.text == word
        await until_true(lambda: on_disk(again, notebook) == word, 30, "the file to be whole")


async def test_a_room_that_is_stopped_leaves_everything_in_the_file(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna, editor(editing, "boris", opened, notebook) as boris:
        await type_all(anna, 20)
        await settled(anna, boris, edits=20)
        await asyncio.to_thread(editing.api.stop, "anna")
        assert anna.text in (editing.root / "users/anna" / notebook).read_text()


async def test_a_room_stops_at_once_also_while_people_are_in_it(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        anna.type()
        await until_true(lambda: on_disk(opened, notebook) == anna.text, 30, "the file to be saved")
        began = time.monotonic()
        await asyncio.to_thread(editing.api.stop, "anna")
        assert time.monotonic() - began < 5


async def test_a_file_that_was_changed_while_the_room_was_off_is_what_people_see(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        anna.type()
        await until_true(lambda: on_disk(opened, notebook) == anna.text, 30, "the file to be saved")
        await asyncio.to_thread(editing.api.stop, "anna")
        file = editing.root / "users/anna" / notebook
        file.write_text(file.read_text().replace(anna.text, "by hand."))
        again = await asyncio.to_thread(start, editing)
        async with editor(editing, "boris", again, notebook) as boris:
            assert boris.text == "by hand."
            await until_true(lambda: anna.text == "by hand.", 30, "anna to see it as well")


async def test_a_file_that_is_changed_from_a_terminal_is_what_people_see(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        word = anna.type()
        await until_true(lambda: on_disk(opened, notebook) == word, 30, "the file to be saved")
        await asyncio.to_thread(opened.run, BY_HAND.format(path=notebook, word=word))
        await until_true(lambda: anna.text == "by hand.", 30, "anna to see it")


async def test_who_never_stops_typing_has_a_file_all_the_same(editing, opened, notebook):
    async with editor(editing, "anna", opened, notebook) as anna:
        typing = asyncio.create_task(type_all(anna, 10 * EDITS))
        try:
            await until_true(lambda: len(on_disk(opened, notebook) or "") > 100, 20, "a file while she types")
            assert not typing.done()
        finally:
            typing.cancel()
