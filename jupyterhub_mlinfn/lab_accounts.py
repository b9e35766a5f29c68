"""What /hub/metrics shows of labs: what each uses, as Docker said last. A scrape never waits for Docker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from docker import APIClient
from docker.errors import APIError
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from . import metrics
from .container import LABELS
from .engine import BROKEN_ENGINE
from .gpus import is_lab
from .usage import Sums, Usage, epoch, usage_of

ANSWER_S = 10
"""How long Docker may think about one question."""
AT_ONCE = 4
STALE_S = 60
"""What was said so long ago is not told any more."""
GONE = (404, 409)
"""Docker's answers about a container that ends at this moment."""
Key = tuple[str, str, str, str]
"""User, server, room and profile."""
log = logging.getLogger("jupyterhub.mlinfn.labs")


class Engine(Protocol):
    """What is asked of Docker. All raise one of BROKEN_ENGINE."""

    async def running(self) -> Sequence[str]:
        """Ids of this instance's running labs."""

    async def inspect(self, container: str) -> Mapping[str, Any] | None:
        """Everything about one; None if it is gone."""

    async def stats(self, container: str) -> Mapping[str, Any] | None:
        """What one uses; None if it is gone."""

    async def killed(self, since: float, until: float) -> Sequence[Mapping[str, str]]:
        """The labels of a lab for each time that it ran out of memory, between these moments (epoch seconds)."""


class DockerLabs:
    """They of a real Engine, on threads of their own: one that thinks long holds up no start."""

    def __init__(self, client: APIClient, instance: str):
        self.client, self.label = client, f"{LABELS}instance={instance}"
        self.threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stats")

    async def running(self) -> Sequence[str]:
        """Ids of this instance's running labs."""
        found = await self._ask(lambda: self.client.containers(filters={"label": self.label}))
        return [each["Id"] for each in found if is_lab(each)]

    async def inspect(self, container: str) -> Mapping[str, Any] | None:
        """Everything about one; None if it is gone."""
        return await self._ask_of_one(lambda: self.client.inspect_container(container))

    async def stats(self, container: str) -> Mapping[str, Any] | None:
        """What one uses; None if it is gone. In one shot: else Docker looks twice, a second apart."""
        return await self._ask_of_one(lambda: self.client.stats(container, stream=False, one_shot=True))

    async def killed(self, since: float, until: float) -> Sequence[Mapping[str, str]]:
        """What Docker remembers of it: its last 256 events."""
        span = {"since": f"{since:.9f}", "until": f"{until:.9f}"}
        asked = {**span, "filters": {"event": "oom", "label": self.label}, "decode": True}
        events = await self._ask(lambda: list(self.client.events(**asked)))
        return [each["Actor"]["Attributes"] for each in events]

    async def _ask_of_one(self, question: Callable[[], Any]) -> Any:
        try:
            return await self._ask(question)
        except APIError as error:
            if error.status_code in GONE:
                return None
            raise

    async def _ask(self, question: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, question)


@dataclass(frozen=True)
class Running:
    """A lab that runs, as its container says; what it may use is 0 where there is no limit."""

    container: str
    name: str
    key: Key
    image: str
    started: float
    memory: int
    cpus: float


def running_of(inspected: Mapping[str, Any], *, named: bool = True) -> Running:
    """The lab in an inspected container; without names if it is not to be `named`."""
    host, labels = inspected["HostConfig"], inspected["Config"]["Labels"]
    quota = (host.get("CpuQuota") or 0) / (host.get("CpuPeriod") or 100_000)
    name = inspected["Name"].lstrip("/") if named else ""
    return Running(inspected["Id"], name, key_of(labels, named=named), labels.get(f"{LABELS}image", ""),
                   epoch(inspected["State"]["StartedAt"]), host.get("Memory") or 0,
                   (host.get("NanoCpus") or 0) / 1e9 or quota)  # fmt: skip


def key_of(labels: Mapping[str, str], *, named: bool) -> Key:
    """How a lab with these labels is told apart: without names, by its room and profile alone."""
    user, server, room, profile = (labels.get(f"{LABELS}{each}", "") for each in metrics.LAB)
    return (user, server, room, profile) if named else ("", "", room, profile)


@dataclass(frozen=True)
class Sample:
    """What a lab was found to use, and when it was (of the monotonic clock)."""

    lab: Running
    usage: Usage
    at: float


Groups = Mapping[Key, Sequence[Sample]]


class Accounts(Collector):
    """Asks what labs use, again and again, and tells Prometheus what was said last."""

    every_s = 15.0

    def __init__(self, engine: Engine, *, named: bool = True):
        self.engine, self.named = engine, named
        self.samples: dict[str, Sample] = {}
        self.sums = Sums(time.time())
        self.killed: Counter[Key] = Counter()
        self._labs: dict[str, Running] = {}
        self._events_until = time.time()

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """From now on the metrics of this registry have the labs."""
        registry.register(self)

    async def run(self) -> None:
        """Asks every so often, for ever. The next time begins after the last: what hangs does not pile up."""
        said = ""
        while True:
            try:
                await self.look()
                said = ""
            except BROKEN_ENGINE as error:
                if said != (said := str(error)):
                    log.warning("Docker does not say what labs use: %s", error)
            except Exception:  # the outermost loop: an answer of a shape that nobody knew must not end it
                log.exception("It is not known what labs use")
            await asyncio.sleep(self.every_s)

    async def look(self) -> None:
        """Every lab is asked for once. Raises one of BROKEN_ENGINE; what others said is known all the same."""
        containers = await self.engine.running()
        answers = await asyncio.gather(*map(self._ask, containers), return_exceptions=True)
        self.samples = {each: self.samples[each] for each in containers if each in self.samples}
        self.samples |= {each.lab.container: each for each in answers if isinstance(each, Sample)}
        self._labs = {each: self._labs[each] for each in containers if each in self._labs}
        self.sums.keep(containers)
        await self._count_killed()
        for error in answers:
            if isinstance(error, BaseException):
                raise error

    async def _ask(self, container: str) -> Sample | None:
        lab = self._labs.get(container)
        if lab is None:
            if (inspected := await self.engine.inspect(container)) is None:
                return None
            lab = self._labs[container] = running_of(inspected, named=self.named)
        stats = await self.engine.stats(container)
        if stats is None or (usage := usage_of(stats)) is None:
            return None
        self.sums.add(lab.key, container, lab.started, usage)
        return Sample(lab, usage, time.monotonic())

    async def _count_killed(self) -> None:
        until = time.time()
        for labels in await self.engine.killed(self._events_until, until):
            self.killed[key_of(labels, named=self.named)] += 1
        self._events_until = until

    def collect(self) -> Iterator[Metric]:
        """What labs use, each as of the moment when it was asked for; where names are not told, added up."""
        groups: dict[Key, list[Sample]] = {}
        for each in self.samples.values():
            if time.monotonic() - each.at < STALE_S:
                groups.setdefault(each.lab.key, []).append(each)
        labs = [each.lab for theirs in groups.values() for each in theirs]
        yield metrics.CONTAINER_INFO.read(([lab.container, lab.name, *lab.key, lab.image], 1) for lab in labs)
        yield from self._used(groups)
        yield from _allowed(groups)
        yield metrics.LAB_OUT_OF_MEMORY.read({**dict.fromkeys(groups, 0), **self.killed}.items())

    def _used(self, groups: Groups) -> Iterator[Metric]:
        used = {key: theirs[0].usage for key, theirs in groups.items()} if self.named else self.sums.totals
        for series, value in ((metrics.LAB_CPU, lambda usage: usage.cpu_s),
                              (metrics.LAB_RECEIVED, lambda usage: usage.received),
                              (metrics.LAB_SENT, lambda usage: usage.sent)):  # fmt: skip
            yield series.read((key, value(usage), *self._at(usage)) for key, usage in used.items())
        for series, value in ((metrics.LAB_MEMORY, lambda usage: usage.memory),
                              (metrics.LAB_PROCESSES, lambda usage: usage.processes)):  # fmt: skip
            yield series.read((key, sum(value(each.usage) for each in theirs), *self._at(theirs[0].usage))
                              for key, theirs in groups.items())  # fmt: skip

    def _at(self, usage: Usage) -> tuple[float, ...]:
        """The moment, which several labs do not have in common."""
        return (usage.at,) if self.named else ()


def _allowed(groups: Groups) -> Iterator[Metric]:
    for series, value in ((metrics.LAB_CPU_LIMIT, lambda lab: lab.cpus),
                          (metrics.LAB_MEMORY_LIMIT, lambda lab: lab.memory)):  # fmt: skip
        limits = ((key, sum(value(each.lab) for each in theirs)) for key, theirs in groups.items())
        yield series.read((key, limit) for key, limit in limits if limit)
    yield metrics.LAB_STARTED.read((key, min(each.lab.started for each in theirs)) for key, theirs in groups.items())
