"""How long an edit takes from one person's notebook to another's, with 2 in a room and with many; memory of each.

`.venv/bin/python benchmarks/rooms.py --help` says what can be chosen. The engine, the images and the programs that the
tests need must be there: `./test.sh -m docker -k room_edits` makes them.

The people are programs in one process, which do what JupyterLab does with a document, so both clocks are one. Each
types a word of eight characters now and then, at a random place of one cell. The alternative is jupyter-collaboration
as it comes, in the same image: it shows edits without waiting until they are kept. The two take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import proxy
from support.client import Lab
from support.editors import Editor, until_true, write_notebook
from support.engine import remove_all
from support.places import test_name
from support.site import Site

from jupyterhub_mlinfn import __version__

MEDIAN_S = 0.15
"""Most that the median delay between two people may be."""
PLAIN = ["/usr/bin/python3", "-s", "-c", "import sys, mlinfn_lab; sys.exit(mlinfn_lab.main())"]
"""Starts the lab's server with jupyter-collaboration beside it and nothing of the room's own."""
KINDS = {"room": {}, "jupyter-collaboration": {"cmd": PLAIN}}


def main() -> int:
    """Exit status: 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=20, help="how many are in the full room (default: 20)")
    parser.add_argument("--edits", type=int, default=60, help="edits of each person, in each round (default: 60)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as well")
    arguments = parser.parse_args()
    with site() as running:
        found = asyncio.run(measured(running, arguments))
    is_met = tell(found, arguments.people)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if is_met else 1


@contextmanager
def site() -> Iterator[Site]:
    """An instance that offers both; one person may log in."""
    image = f"mlinfn/collab:{__version__}"
    profiles = [{"slug": kind, "display_name": kind, "spawner_override": {"image": image, "mem_limit": "4G", **started}}
                for kind, started in KINDS.items()]  # fmt: skip
    engine = docker.from_env(timeout=120)
    with tempfile.TemporaryDirectory() as place:
        made = Site(Path(place), test_name(), inspect.unwrap(proxy.proxy_command)(), engine)
        try:
            made.start(profile_list=profiles)
            made.add_user("anna")
            yield made
        finally:
            made.stop()
            remove_all(engine, made.instance)


async def measured(running: Site, arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """By kind: seconds of each edit with two people and with many, and bytes for each person more."""
    found = {kind: {"two": [], "many": [], "bytes": []} for kind in KINDS}
    for _ in range(arguments.rounds):
        for kind, figures in found.items():
            lab = await asyncio.to_thread(running.api.start, "anna", profile=kind)
            two, before = await meeting(running, lab, 2, arguments.edits)
            many, after = await meeting(running, lab, arguments.people, arguments.edits)
            figures["two"] += two
            figures["many"] += many
            figures["bytes"].append((after - before) / (arguments.people - 2))
            await asyncio.to_thread(running.api.stop, "anna")
    return found


async def meeting(running: Site, lab: Lab, people: int, edits: int) -> tuple[list[float], float]:
    """Seconds from each edit of the first person to its being in the second's notebook, while all type; and bytes."""
    path = f"{people}.ipynb"
    write_notebook(lab, path)
    token = running.api.session.headers["Authorization"].split()[1]
    async with AsyncExitStack() as stack:
        editors = [await stack.enter_async_context(Editor(f"p{n:02}", lab, path, token)) for n in range(people)]
        await asyncio.gather(*(type_now_and_then(each, edits) for each in editors))
        first, second = editors[:2]
        await until_true(lambda: len(second.delays_of(first)) == edits, 60, "all edits to be there")
        return second.delays_of(first), memory(running)


async def type_now_and_then(editor: Editor, edits: int) -> None:
    """So many words, about three in a second."""
    for _ in range(edits):
        await asyncio.sleep(random.uniform(0.1, 0.6))
        editor.type()


def memory(running: Site) -> float:
    """Bytes that the room's processes hold now, without the cache of files."""
    usage = running.lab_of("anna").stats(stream=False)["memory_stats"]
    return usage["usage"] - usage["stats"].get("total_inactive_file", usage["stats"].get("inactive_file", 0))


def tell(found: dict[str, dict[str, list[float]]], people: int) -> bool:
    """Prints the figures. True if the target is met."""
    for what, said in (("two", "2 people"), ("many", f"{people} people")):
        medians = {kind: statistics.median(figures[what]) for kind, figures in found.items()}
        for kind, median in medians.items():
            late = statistics.quantiles(found[kind][what], n=20)[-1]
            print(f"{said}, {kind}: median {1000 * median:.0f} ms, 19 of 20 below {1000 * late:.0f} ms")
        print(f"{said}: {medians['room'] / medians['jupyter-collaboration']:.2f}x of jupyter-collaboration as it comes")
    for kind, figures in found.items():
        print(f"{kind}: {statistics.median(figures['bytes']) / 2**20:.1f} MiB for each of {people} people")
    median = statistics.median(found["room"]["two"])
    print(f"{1000 * median:.0f} ms between two people, at most {1000 * MEDIAN_S:.0f} ms: "
          f"{'met' if median < MEDIAN_S else 'missed'}")  # fmt: skip
    return median < MEDIAN_S


if __name__ == "__main__":
    sys.exit(main())
