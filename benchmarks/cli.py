"""What the `mlinfn` command costs at a terminal, beside a bare Python and a bare `docker ps`.

`.venv/bin/python benchmarks/cli.py --help` says what can be chosen. `status` is asked on an instance of its own with so
many labs: containers that sleep, gone afterwards. The image of the guard has to be there: images/build makes it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.engine import remove_all
from support.places import free_ports, test_name

from jupyterhub_mlinfn import __version__

MLINFN = str(Path(sys.executable).with_name("mlinfn"))
TARGETS = {"mlinfn --help": 0.3, "mlinfn status": 1.0}
"""Seconds that the command may take."""
BESIDE = {"mlinfn --help": "python -c pass", "mlinfn status": "docker ps"}
"""What each is compared with."""


def main() -> int:
    """Exit status: 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", type=int, default=20, help="how many run (%(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="of each command, taking turns (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times, in seconds, as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, labs(test_name(), chosen.labs) as instance:
        times = measured(settings(Path(folder), instance), chosen.runs)
    missed = False
    for what, target in TARGETS.items():
        took, beside = statistics.median(times[what]), statistics.median(times[BESIDE[what]])
        missed |= took > target
        print(f"{what:14} {1000 * took:5.0f} ms ({1000 * min(times[what]):.0f} to {1000 * max(times[what]):.0f}), "
              f"{took / beside:.1f} times {BESIDE[what]} ({1000 * beside:.0f} ms), at most {1000 * target:.0f} ms: "
              f"{'missed' if took > target else 'met'}")  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps({"seconds": times, "targets": TARGETS}, indent=2) + "\n")
    return int(missed)


def settings(folder: Path, instance: str) -> Path:
    """mlinfn.yaml of an instance of which labs alone run."""
    path = folder / "mlinfn.yaml"
    path.write_text(f"instance: {instance}\nroot: {folder}/root\nport: {free_ports()}\n"
                    "images: [{slug: lab, title: JupyterLab, image: mlinfn/lab}]\n")
    return path


@contextmanager
def labs(name: str, count: int) -> Iterator[str]:
    """The instance's name, while so many labs of it run."""
    client = docker.from_env()

    def make(number: int) -> None:
        labels = {"it.infn.mlinfn.instance": name, "it.infn.mlinfn.user": f"member-{number}"}
        client.containers.run(f"mlinfn/guard:{__version__}", ["600"], entrypoint=["sleep"], network_mode="none",
                              name=f"{name}-lab-{number}", labels=labels, detach=True)  # fmt: skip

    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(make, range(count)))
        yield name
    finally:
        remove_all(client, name)


def measured(config: Path, runs: int) -> dict[str, list[float]]:
    """Seconds of each command by its name, taking turns. The first of each is not counted."""
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "mlinfn --help": [MLINFN, "--help"],
                "docker ps": ["docker", "ps"],
                "mlinfn status": [MLINFN, "--config", str(config), "status"]}  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, words in commands.items():
            took = _seconds(words)
            times[name] += [took] if run else []
    return times


def _seconds(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
