"""The ratio of a start with a GPU to one without, taking turns, on an engine whose GPUs are made up.

`.venv/bin/python benchmarks/gpu_start.py --help` says what can be chosen. The images and programs that the tests need
must be there: `./test.sh -m docker -k gpus_engine` makes them. The GPUs are given by CDI; what a real driver takes to
open a device is not in these figures.
"""

from __future__ import annotations

import argparse
import inspect
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import proxy
from support.engine import remove_all
from support.gpu_engine import GPUEngine
from support.places import test_name
from support.site import Site

from jupyterhub_mlinfn import __version__

TARGET = 1.1
WORDS = ("0", "1")
"""What is asked for, in turns."""


def main() -> int:
    """Exit status: 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="starts of each kind (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times, in seconds, as well")
    arguments = parser.parse_args()
    with site() as running:
        times = measured(running, arguments.runs)
    ratio = statistics.median(times["1"]) / statistics.median(times["0"])
    for words, took in times.items():
        print(f"gpus {words}: {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f}, {len(took)} times)")
    print(f"{ratio:.2f}x  at most {TARGET:.2f}x: {'met' if ratio <= TARGET else 'missed'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": times, "ratio": ratio, "target": TARGET}, indent=2) + "\n")
    return ratio > TARGET


@contextmanager
def site() -> Iterator[Site]:
    """An instance whose labs are on an engine with four GPUs; one person may log in."""
    folder = Path(tempfile.mkdtemp(prefix="gpus-", dir="/tmp"))
    engine, command = GPUEngine(folder), inspect.unwrap(proxy.proxy_command)()
    lab = f"mlinfn/lab:{__version__}"
    try:
        engine.start()
        engine.load(lab)
        with closing(engine.client()) as client, tempfile.TemporaryDirectory() as place:
            made = Site(Path(place), test_name(), command, client)
            made.environment["DOCKER_HOST"] = engine.socket
            try:
                offered = [{"slug": "lab", "title": "JupyterLab", "image": lab}]
                made.start(images=offered, gpus={"source": "cdi"})
                made.add_user("anna")
                yield made
            finally:
                made.stop()
                remove_all(client, made.instance)
    finally:
        engine.close()


def measured(running: Site, runs: int) -> dict[str, list[float]]:
    """Seconds from the request to ready, for each kind. The first of each is not counted."""
    times: dict[str, list[float]] = {words: [] for words in WORDS}
    for run in range(runs + 1):
        for words in WORDS:
            began = time.monotonic()
            running.api.start("anna", gpus=words)
            took = time.monotonic() - began
            running.api.stop("anna")
            times[words] += [took] if run else []
    return times


if __name__ == "__main__":
    sys.exit(main())
