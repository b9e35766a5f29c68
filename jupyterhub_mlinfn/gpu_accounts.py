"""What /hub/metrics shows of the GPUs: how they stand at the scrape, and who held them for how long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from . import metrics
from .gpus import EngineAway, Lending, View, state

EVERY_S = 10
Key = tuple[str, str, str]
"""User, group and class."""
log = logging.getLogger("jupyterhub.mlinfn.gpus")


def held(view: View, group_of: Callable[[str], str]) -> Mapping[Key, float]:
    """How many GPUs each person's labs hold now; one that N may share counts 1/N for each."""
    classes = {device.uuid: each for each in view.classes for device in each.devices}
    found: Counter[Key] = Counter()
    for holder in view.holders:
        for gpu_class in [classes[uuid] for uuid in holder.uuids if holder.user and uuid in classes]:
            part = min(holder.slots or gpu_class.slots_each, gpu_class.slots_each) / gpu_class.slots_each
            found[holder.user, group_of(holder.user), gpu_class.slug] += part
    return found


class Accounts(Collector):
    """Adds up who holds what, and tells Prometheus how it stands."""

    def __init__(self, lending: Callable[[], Lending | None], group_of: Callable[[str], str]):
        self.lending, self.group_of = lending, group_of
        self.view: View | None = None
        self._added_at = time.monotonic()

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """From now on the metrics of this registry have the GPUs."""
        registry.register(self)

    async def run(self, every_s: float = EVERY_S) -> None:
        """Adds up every ten seconds, for ever."""
        while True:
            try:
                await self.add_up()
            except EngineAway as error:
                log.warning("Docker does not say who holds the GPUs, so nobody is charged for them: %s", error)
            except Exception:  # the outermost loop: a database that is locked for a moment must not end it
                log.exception("GPU time could not be added up, so nobody is charged for it")
            await asyncio.sleep(every_s)

    async def add_up(self) -> None:
        """Everybody is charged for the time since the last look. Raises EngineAway, and then it is for free."""
        before, self._added_at = self._added_at, time.monotonic()
        if lending := self.lending():
            self.view = await lending.pool.look(EVERY_S / 2)
            for key, count in held(self.view, self.group_of).items():
                metrics.GPU_SECONDS.labels(*key).inc(count * (self._added_at - before))

    def collect(self) -> Iterator[Metric]:
        """The line as it is now, and the devices as they were at most ten seconds ago."""
        states = self._states()
        yield metrics.GPU_DEVICES.read(([each["slug"]], each["total"]) for each in states)
        yield metrics.GPU_SLOTS.read(([each["slug"]], each["slots"]) for each in states)
        yield metrics.GPU_LENT.read(([each["slug"]], each["slots"] - each["free"]) for each in states)
        yield metrics.GPU_WAITING.read(([each["slug"]], each["waiting"]) for each in states)

    def _states(self) -> list[dict]:
        lending = self.lending()
        if not lending or not self.view:
            return []
        return state.class_states(self.view.classes, lending.pool.free(self.view), lending.pool.line)

