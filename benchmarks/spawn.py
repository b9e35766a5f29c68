"""Ratios of our starts to stock DockerSpawner's, measured in one run on one engine, with the phases of a start of ours.

`.venv/bin/python benchmarks/spawn.py --help` says what can be chosen. The engine, the images and the programs that
the tests need must be there: `./test.sh -m docker -k stock` makes them.

A start is timed by a client of the hub's API, from the request to the event `ready` of the progress stream. All hubs
answer that request at once (slow_spawn_timeout 0), so that no phase hides behind it. The contenders take turns, so
that what else the machine does meets them alike; their first starts are not counted. All labs are on one network,
and stock DockerSpawner removes its containers too: each start, of each contender, makes a new one.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import images, proxy
from support.client import API, Failed
from support.engine import containers_of, remove_all
from support.hub import running_stock_hub
from support.places import test_name
from support.registry import Registry
from support.site import Site

TARGETS = {
    "alone, ours to stock with the plain image": 0.55,
    "at once, the last of ours to the last of stock with the plain image": 0.6,
    "alone, ours to stock with the same image": 1.05,
    "alone, ours beside a pull to ours without": 1.2,
}
EVERY_IMAGE = 1.3
"""Most that a start of ours with any image may take, to one with the plain image."""
BEGINS = {75: "create", 85: "start", 90: "import"}
"""What the progress message with that percentage begins; before the first one is the claim."""
PHASES = ("claim", "create", "start", "import", "ready")
BALLAST_MB = 48
PULL_S_FOR_EACH_START = 15
AT_ONCE = "c.JupyterHub.tornado_settings = {'slow_spawn_timeout': 0}\n"
STOCK = """
c.JupyterHub.spawner_class = "docker"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "nobody logs in here"
c.Authenticator.allow_all = True
c.JupyterHub.hub_ip = {gateway!r}
c.DockerSpawner.allowed_images = {images!r}
c.DockerSpawner.network_name = {network!r}
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = {prefix!r}
"""


@dataclass(frozen=True)
class Start:
    """One start: when it was asked for and ready, and when the last message of each percentage came, in Unix time."""

    asked: float
    ready: float
    messages: dict[int, float]

    @property
    def seconds(self) -> float:
        """From the request to `ready`."""
        return self.ready - self.asked


class Contender:
    """A spawner with an image: the API of its hub, and what a start is asked for with."""

    def __init__(self, title: str, api: API, **options: str):
        self.title, self.api, self.options = title, api, options

    def start(self, member: str) -> Start:
        """The start of a member's lab, which runs now."""
        asked, messages = time.time(), {}
        answer = self.api.ask(member, **self.options)
        if answer.status_code not in (201, 202):
            raise Failed(answer.text)
        for event in self.api.events(member):
            if event.get("failed"):
                raise Failed(f"{self.title}: {event['message']}")
            messages[event.get("progress", 100)] = time.time()
        return Start(asked, messages[100], messages)

    def start_and_stop(self, member: str) -> Start:
        """The start of a member's lab, which is gone again."""
        start = self.start(member)
        self.api.stop(member)
        return start


def names(count: int) -> list[str]:
    """Names of so many members."""
    return [f"member{number}" for number in range(count)]


def taking_turns(contenders: Sequence[Contender], runs: int) -> list[list[float]]:
    """Seconds of each contender's starts, one lab at a time, without the first."""
    rounds = [[one.start_and_stop("member0").seconds for one in contenders] for _ in range(runs + 1)]
    return [list(times) for times in zip(*rounds[1:], strict=True)]


def last_of(contender: Contender, members: Sequence[str]) -> float:
    """Seconds until the last of these members, who all ask at the same time, has a lab."""
    with ThreadPoolExecutor(len(members)) as threads:
        starts = list(threads.map(contender.start, members))
        list(threads.map(contender.api.stop, members))
    return max(start.ready for start in starts) - min(start.asked for start in starts)


def phases_of(start: Start, first_words: float) -> dict[str, float]:
    """Seconds of each phase; a lab says its first words, at `first_words`, when it has imported everything."""
    begins = {name: start.messages[percent] for percent, name in BEGINS.items()}
    moments = [start.asked, *begins.values(), first_words, start.ready]
    return {name: moments[i + 1] - moments[i] for i, name in enumerate(PHASES)}


def phases(site: Site, ours: Contender, runs: int) -> dict[str, float]:
    """The median seconds of each phase of our start."""
    seen = []
    for _ in range(runs):
        start = ours.start("member0")
        seen.append(phases_of(start, first_words_of(containers_of(site.engine, site.instance)[0])))
        ours.api.stop("member0")
    return {name: statistics.median(one[name] for one in seen) for name in PHASES}


def first_words_of(container) -> float:
    """When the first line of the container's log was written, in Unix time."""
    stamp = container.logs(timestamps=True).split(b" ", 1)[0].decode()
    return datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()


@contextmanager
def running_site(engine: docker.DockerClient, proxy_command: list[str], members: int, **offer: str) -> Iterator[Site]:
    """A running instance of ours that offers these images, for so many members; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="spawn-") as folder:
        site = Site(Path(folder), test_name(), proxy_command, engine)
        site.extra = AT_ONCE
        try:
            site.start(images=[{"slug": slug, "title": slug, "image": image} for slug, image in offer.items()])
            for name in names(members):
                site.add_user(name)
            yield site
        finally:
            site.stop()
            remove_all(engine, site.instance)


@contextmanager
def running_stock(site: Site, members: int, **offer: str) -> Iterator[API]:
    """The API of a hub with stock DockerSpawner, on the network of `site`; nothing of it is left afterwards."""
    prefix, network = test_name(), f"{site.instance}-labs"
    config = STOCK.format(gateway=site.hub_address, images=offer, network=network, prefix=prefix)
    try:
        with tempfile.TemporaryDirectory(prefix="spawn-") as folder, \
             running_stock_hub(Path(folder), site.proxy_command, config + AT_ONCE) as hub:  # fmt: skip
            for name in names(members):
                hub.api.add_user(name)
            yield hub.api
    finally:
        remove_all(site.engine, prefix)


@contextmanager
def running_registry(engine: docker.DockerClient) -> Iterator[Registry]:
    """A registry on loopback; what came from it is removed from the engine afterwards."""
    with tempfile.TemporaryDirectory(prefix="spawn-") as folder:
        registry = Registry(Path(folder), engine)
        try:
            yield registry
        finally:
            registry.slow.stop()
            registry.program.stop()
            for tag in [tag for image in engine.images.list() for tag in image.tags]:
                if tag.startswith((f"127.0.0.1:{registry.port}/", f"127.0.0.1:{registry.slow.port}/")):
                    engine.images.remove(tag, force=True)


def against_stock(engine, proxy_command, plain: str, lab: str, chosen) -> dict:
    """Seconds of starts alone and at once for each contender, and the phases of ours."""
    with running_site(engine, proxy_command, chosen.at_once, lab=lab) as site, \
         running_stock(site, chosen.at_once, plain=plain, lab=lab) as stock:  # fmt: skip
        ours = Contender("ours", site.api, profile="lab")
        slow, same = Contender("stock, plain image", stock, image="plain"), Contender("stock, lab", stock, image="lab")
        alone = dict(zip(("plain", "ours", "same"), taking_turns((slow, ours, same), chosen.runs), strict=True))
        rounds = [(last_of(slow, names(chosen.at_once)), last_of(ours, names(chosen.at_once)))
                  for _ in range(chosen.rounds)]  # fmt: skip
        at_once = dict(zip(("plain", "ours"), map(list, zip(*rounds, strict=True)), strict=True))
        return {"alone": alone, "at_once": at_once, "phases": phases(site, ours, chosen.runs)}


def beside_a_pull(engine, proxy_command, base: str, lab: str, runs: int) -> dict[str, list[float]]:
    """Seconds of our starts as usual, and while another member's image comes slowly from a registry."""
    with running_registry(engine) as registry:
        far = registry.publish(base, BALLAST_MB)
        registry.slow.bytes_per_s = BALLAST_MB * 1_000_000 // (PULL_S_FOR_EACH_START * (runs + 1))
        with running_site(engine, proxy_command, 2, lab=lab, far=far) as site:
            ours = Contender("ours", site.api, profile="lab")
            usual = taking_turns([ours], runs)[0]
            site.api.ask("member1", profile="far")
            beside = taking_turns([ours], runs)[0]
            if site.api.server("member1")["pending"] != "spawn" or not registry.pulls(far):
                raise Failed("The pull was not under way all the time.")
            return {"usual": usual, "beside": beside}


def every_image(engine, proxy_command, runs: int, **offer: str) -> dict[str, list[float]]:
    """Seconds of our starts with each of these images."""
    with running_site(engine, proxy_command, 1, **offer) as site:
        contenders = [Contender(slug, site.api, profile=slug) for slug in offer]
        return dict(zip(offer, taking_turns(contenders, runs), strict=True))


def ratios_of(found: dict) -> dict[str, float]:
    """What was found, in the order and the words of TARGETS; without the pull if that was left out."""
    alone, at_once, pull = found["alone"], found["at_once"], found.get("pull")
    pairs = [(alone["ours"], alone["plain"]), (at_once["ours"], at_once["plain"]), (alone["ours"], alone["same"])]
    pairs += [(pull["beside"], pull["usual"])] if pull else []
    plain = found["images"]["plain"]
    named = [*zip(TARGETS, pairs, strict=False), *((f"alone, ours with {slug} to ours with the plain image",
             (times, plain)) for slug, times in found["images"].items() if slug != "plain")]  # fmt: skip
    return {what: statistics.median(one) / statistics.median(other) for what, (one, other) in named}


def target(what: str) -> float:
    """The most that a ratio may be."""
    return TARGETS.get(what, EVERY_IMAGE)


def show(found: dict) -> None:
    """Nothing; prints medians, ratios with their targets, and phases."""
    for part in ("alone", "at_once", "images", "pull"):
        for who, times in found.get(part, {}).items():
            spread = f"{min(times):6.2f} to {max(times):.2f}"
            print(f"{part:8} {who:7} {statistics.median(times):6.2f} s   ({spread}, {len(times)} times)")
    for what, ratio in found["ratios"].items():
        print(f"{ratio:5.2f}x  at most {target(what):.2f}x: {'met' if ratio <= target(what) else 'missed':6}  {what}")
    print("phases of ours: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found["phases"].items()))


def measure(chosen: argparse.Namespace) -> dict:
    """Everything that was found, ready for JSON."""
    engine = docker.from_env(timeout=120)
    ours = inspect.unwrap(images.images)(engine)
    plain = inspect.unwrap(images.plain_image)(engine, ours)
    command = inspect.unwrap(proxy.proxy_command)()
    found = {"processors": os.cpu_count(), "load_before": os.getloadavg()[0]}
    found |= against_stock(engine, command, plain, ours["lab"], chosen)
    more = {name: inspect.unwrap(getattr(images, f"{name}_image"))(engine, ours) for name in ("ml", "stacks")}
    found["images"] = every_image(engine, command, chosen.runs, plain=plain, lab=ours["lab"], **more)
    if not chosen.skip_pull:
        found["pull"] = beside_a_pull(engine, command, ours["base"], ours["lab"], chosen.runs)
    return {**found, "ratios": ratios_of(found), "targets": {**TARGETS, "every image": EVERY_IMAGE}}


def choose() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="starts of each contender, one at a time (%(default)s)")
    parser.add_argument("--at-once", type=int, default=10, help="members who ask at the same time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often they do; the median counts (%(default)s)")
    parser.add_argument("--skip-pull", action="store_true", help="leave out starts beside a pull")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    return parser.parse_args()


def main() -> int:
    """Exit status: 1 if a target was missed. Prints and, if asked to, writes the figures."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit cleans up, a death does not
    chosen = choose()
    found = measure(chosen)
    show(found)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(any(ratio > target(what) for what, ratio in found["ratios"].items()))


if __name__ == "__main__":
    sys.exit(main())
