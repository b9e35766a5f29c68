"""What people type in a room stays: beside a restart, after a crash, and where files change by other means."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator

import pytest
from support.client import Lab
from support.editors import Editor, on_disk, until_true, write_notebook
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
BY_HAND = """
import pathlib
file = pathlib.Path({path!r})
file.write_text(file.read_text().replace({word!r}, "by hand."))
"""
EDITS = 2000
MEDIAN_S = 0.15


@pytest.fixture(scope="module")
def site(collab_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Site]:
    """An instance whose labs are of the room's image, and a person who may have one."""
    made = Site(tmp_path_factory.mktemp("edits"), test_name(), proxy_command, engine)
    made.extra = "c.Spawner.poll_interval = 1"
    with closing_site(made, request):
        made.start(images=[{"slug": "lab", "title": "Room", "image": collab_image}])
        made.add_user("anna")
        yield made


def start(site: Site) -> Lab:
    return site.api.start("anna", memory="1G")


@pytest.fixture
def path(request) -> str:
    """A notebook of the test's own."""
    return f"{request.node.name}.ipynb"


@pytest.fixture
def lab(site, path) -> Lab:
    """It runs, with an empty notebook."""
    running = site.api.lab("anna") if site.api.server("anna") else start(site)
    write_notebook(running, path)
    return running


def editor(site: Site, name: str, lab: Lab, path: str) -> Editor:
    """Somebody who opens the notebook."""
    return Editor(name, lab, path, site.api.session.headers["Authorization"].split()[1])


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


async def test_two_people_and_a_restart(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        typing = asyncio.gather(type_all(anna), type_all(boris))
        await until_true(lambda: len(anna.made) > EDITS // 2, 60, "half of the edits")
        await asyncio.to_thread(site.api.stop, "anna")
        await asyncio.to_thread(start, site)
        await typing
        text = await settled(anna, boris, edits=2 * EDITS)
        assert anna.connections == boris.connections == 2
        assert {*anna.shown, *boris.shown} <= set(anna.words)
        await until_true(lambda: on_disk(lab, path) == text, 30, "the file to be the same")


async def test_what_one_types_the_other_sees_at_once(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        await asyncio.gather(type_all(anna, 200), type_all(boris, 200))
        await settled(anna, boris, edits=400)
        delays = [*anna.delays_of(boris), *boris.delays_of(anna)]
        assert len(delays) == 400
        print(f"from one to the other: median {1000 * statistics.median(delays):.0f} ms, longest {max(delays):.3f} s")
        assert statistics.median(delays) < MEDIAN_S


async def test_what_was_shown_before_a_crash_is_there_after_it(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        await until_true(lambda: on_disk(lab, path) == "", 10, "the room to be at rest")
        await type_all(anna, 20)
        text = await settled(anna, boris, edits=20)
        assert on_disk(lab, path) != text, "it was saved already, so nothing is tried here"
        site.lab_of("anna").kill()
    await gone(site)
    again = await asyncio.to_thread(start, site)
    async with editor(site, "carla", again, path) as carla:
        assert carla.text == text
        await until_true(lambda: on_disk(again, path) == text, 30, "the file to be the same")


async def test_half_a_file_that_a_crash_left_is_made_whole(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        word = anna.type()
        await until_true(lambda: on_disk(lab, path) == word, 30, "the file to be saved")
        site.lab_of("anna").kill()
    await gone(site)
    file = site.root / "users/anna" / path
    file.write_text(file.read_text()[:50])
    again = await asyncio.to_thread(start, site)
    async with editor(site, "boris", again, path) as boris:
        assert boris.text == word
        await until_true(lambda: on_disk(again, path) == word, 30, "the file to be whole")


async def gone(site: Site) -> None:
    """The hub has noticed that the room is not there any more."""
    await asyncio.to_thread(until, lambda: site.api.server("anna") is None, 60, "the hub to notice")


async def test_a_room_that_is_stopped_leaves_everything_in_the_file(site, lab, path):
    async with editor(site, "anna", lab, path) as anna, editor(site, "boris", lab, path) as boris:
        await type_all(anna, 20)
        await settled(anna, boris, edits=20)
        await asyncio.to_thread(site.api.stop, "anna")
        assert anna.text in (site.root / "users/anna" / path).read_text()


async def test_a_room_stops_at_once_also_while_people_are_in_it(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        anna.type()
        await until_true(lambda: on_disk(lab, path) == anna.text, 30, "the file to be saved")
        began = time.monotonic()
        await asyncio.to_thread(site.api.stop, "anna")
        assert time.monotonic() - began < 5


async def test_a_file_that_was_changed_while_the_room_was_off_is_what_people_see(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        anna.type()
        await until_true(lambda: on_disk(lab, path) == anna.text, 30, "the file to be saved")
        await asyncio.to_thread(site.api.stop, "anna")
        file = site.root / "users/anna" / path
        file.write_text(file.read_text().replace(anna.text, "by hand."))
        again = await asyncio.to_thread(start, site)
        async with editor(site, "boris", again, path) as boris:
            assert boris.text == "by hand."
            await until_true(lambda: anna.text == "by hand.", 30, "anna to see it as well")


async def test_a_file_that_is_changed_from_a_terminal_is_what_people_see(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        word = anna.type()
        await until_true(lambda: on_disk(lab, path) == word, 30, "the file to be saved")
        await asyncio.to_thread(lab.run, BY_HAND.format(path=path, word=word))
        await until_true(lambda: anna.text == "by hand.", 30, "anna to see it")


async def test_who_never_stops_typing_has_a_file_all_the_same(site, lab, path):
    async with editor(site, "anna", lab, path) as anna:
        typing = asyncio.create_task(type_all(anna, 10 * EDITS))
        try:
            await until_true(lambda: len(on_disk(lab, path) or "") > 100, 20, "the file to be written while she types")
            assert not typing.done()
        finally:
            typing.cancel()
