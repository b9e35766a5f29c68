"""What people type in a room stays: beside a restart, after a crash, and where files change by other means."""

from __future__ import annotations

import asyncio
import random
import statistics

import pytest
from support.client import Lab
from support.editors import Editor, on_disk, until_true, write_notebook
from support.site import Site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
PATH = "shared.ipynb"
BY_HAND = """
import pathlib
file = pathlib.Path({path!r})
file.write_text(file.read_text().replace({word!r}, "by hand."))
"""
EDITS = 2000
MEDIAN_S = 0.15


@pytest.fixture
def site(mlinfn: Site, collab_image: str) -> Site:
    """An instance whose labs are of the room's image."""
    mlinfn.start(images=[{"slug": "lab", "title": "Room", "image": collab_image}])
    mlinfn.add_user("anna")
    return mlinfn


def start(site: Site) -> Lab:
    return site.api.start("anna", memory="1G")


@pytest.fixture
def lab(site) -> Lab:
    """It runs, with an empty notebook."""
    running = start(site)
    write_notebook(running, PATH)
    return running


def editor(site: Site, name: str, lab: Lab) -> Editor:
    """Somebody who opens the notebook."""
    return Editor(name, lab, PATH, site.api.session.headers["Authorization"].split()[1])


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


async def test_two_people_and_a_restart(site, lab):
    async with editor(site, "anna", lab) as anna, editor(site, "boris", lab) as boris:
        typing = asyncio.gather(type_all(anna), type_all(boris))
        await until_true(lambda: len(anna.made) > EDITS // 2, 60, "half of the edits")
        await asyncio.to_thread(site.api.stop, "anna")
        await asyncio.to_thread(start, site)
        await typing
        text = await settled(anna, boris, edits=2 * EDITS)
        assert anna.connections == boris.connections == 2
        assert {*anna.shown, *boris.shown} <= set(anna.words)
        await until_true(lambda: on_disk(lab, PATH) == text, 30, "the file to be the same")


async def test_what_one_types_the_other_sees_at_once(site, lab):
    async with editor(site, "anna", lab) as anna, editor(site, "boris", lab) as boris:
        await asyncio.gather(type_all(anna, 200), type_all(boris, 200))
        await settled(anna, boris, edits=400)
        delays = [*anna.delays_of(boris), *boris.delays_of(anna)]
        assert len(delays) == 400
        print(f"from one to the other: median {1000 * statistics.median(delays):.0f} ms, longest {max(delays):.3f} s")
        assert statistics.median(delays) < MEDIAN_S


async def test_what_was_shown_before_a_crash_is_there_after_it(site, lab):
    async with editor(site, "anna", lab) as anna, editor(site, "boris", lab) as boris:
        await until_true(lambda: on_disk(lab, PATH) == "", 10, "the room to be at rest")
        await type_all(anna, 20)
        text = await settled(anna, boris, edits=20)
        assert on_disk(lab, PATH) != text, "it was saved already, so nothing is tried here"
        site.lab_of("anna").kill()
    await gone(site)
    again = await asyncio.to_thread(start, site)
    async with editor(site, "carla", again) as carla:
        assert carla.text == text
        await until_true(lambda: on_disk(again, PATH) == text, 30, "the file to be the same")


async def gone(site: Site) -> None:
    """The hub has noticed that the room is not there any more."""
    await asyncio.to_thread(until, lambda: site.api.server("anna") is None, 60, "the hub to notice")


async def test_a_room_that_is_stopped_leaves_everything_in_the_file(site, lab):
    async with editor(site, "anna", lab) as anna, editor(site, "boris", lab) as boris:
        await type_all(anna, 20)
        await settled(anna, boris, edits=20)
        await asyncio.to_thread(site.api.stop, "anna")
        assert anna.text in (site.root / "users/anna" / PATH).read_text()


async def test_a_file_that_was_changed_while_the_room_was_off_is_what_people_see(site, lab):
    async with editor(site, "anna", lab) as anna:
        anna.type()
        await until_true(lambda: on_disk(lab, PATH) == anna.text, 30, "the file to be saved")
        await asyncio.to_thread(site.api.stop, "anna")
        file = site.root / "users/anna" / PATH
        file.write_text(file.read_text().replace(anna.text, "by hand."))
        again = await asyncio.to_thread(start, site)
        async with editor(site, "boris", again) as boris:
            assert boris.text == "by hand."
            await until_true(lambda: anna.text == "by hand.", 30, "anna to see it as well")


async def test_a_file_that_is_changed_from_a_terminal_is_what_people_see(site, lab):
    async with editor(site, "anna", lab) as anna:
        word = anna.type()
        await until_true(lambda: on_disk(lab, PATH) == word, 30, "the file to be saved")
        await asyncio.to_thread(lab.run, BY_HAND.format(path=PATH, word=word))
        await until_true(lambda: anna.text == "by hand.", 30, "anna to see it")


async def test_who_never_stops_typing_has_a_file_all_the_same(site, lab):
    async with editor(site, "anna", lab) as anna:
        typing = asyncio.create_task(type_all(anna, 10 * EDITS))
        try:
            await until_true(lambda: len(on_disk(lab, PATH)) > 100, 20, "the file to be written while she types")
            assert not typing.done()
        finally:
            typing.cancel()
