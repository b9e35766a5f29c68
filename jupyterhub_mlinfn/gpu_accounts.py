"""What /hub/metrics shows of the GPUs: how they stand at the scrape, and who held them for how long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from . import metrics
from .gpus import Device, EngineAway, GPUClass, Holder, View, mapping, state
from .gpus.lending import Lending

EVERY_S = 10
BUNDLE_S = 1
"""Changes that come one after the other are looked at together."""
Key = tuple[str, str, str]
"""User, group and class."""
log = logging.getLogger("jupyterhub.mlinfn.gpus")


def parts(view: View) -> Iterator[tuple[Holder, GPUClass, Device, float]]:
    """What labs hold of each GPU: 1, or 1/N if N may share it."""
    devices = {device.uuid: (each, device) for each in view.classes for device in each.devices}
    for holder in view.holders:
        for gpu_class, device in [devices[uuid] for uuid in holder.uuids if holder.user and uuid in devices]:
            slots = gpu_class.slots_each
            yield holder, gpu_class, device, min(holder.slots or slots, slots) / slots


def held(view: View, group_of: Callable[[str], str]) -> Mapping[Key, float]:
    """How many GPUs each person's labs hold now; one that N may share counts 1/N for each."""
    found: Counter[Key] = Counter()
    for holder, gpu_class, _, part in parts(view):
        found[holder.user, group_of(holder.user), gpu_class.slug] += part
    return found


def holdings(view: View, *, named: bool) -> Mapping[tuple[str, ...], float]:
    """The same for each GPU and lab, by the labels of mlinfn_lab_gpu_info."""
    found: Counter[tuple[str, ...]] = Counter()
    for holder, gpu_class, device, part in parts(view):
        lab = (holder.user, holder.server) if named else ("", "")
        found[(*lab, holder.room, device.uuid, mapping.name_of(device), gpu_class.slug)] += part
    return found


class Accounts(Collector):
    """Adds up who holds what, and tells Prometheus how it stands."""

    def __init__(self, lending: Callable[[], Lending | None], group_of: Callable[[str], str], *,
                 named: bool = True, folder: Path | None = None):  # fmt: skip
        """`folder` is where dcgm-exporter is told who holds what; None: it is not."""
        self.lending, self.group_of, self.named, self.folder = lending, group_of, named, folder
        self.view: View | None = None
        self._added_at = time.monotonic()

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """From now on the metrics of this registry have the GPUs."""
        registry.register(self)

    async def run(self, every_s: float = EVERY_S) -> None:
        """Adds up every ten seconds, and when something has changed, for ever."""
        while True:
            try:
                await self.add_up()
                await self._changed(every_s)
                continue
            except EngineAway as error:
                log.warning("Docker does not say who holds the GPUs, so nobody is charged for them: %s", error)
            except Exception:  # the outermost loop: a database that is locked for a moment must not end it
                log.exception("GPU time could not be added up, so nobody is charged for it")
            await asyncio.sleep(every_s)

    async def _changed(self, every_s: float) -> None:
        """Returns when something has changed, or after so long."""
        bundle_s = min(BUNDLE_S, every_s)
        if self.view and (lending := self.lending()):
            await lending.pool.news(self.view, every_s - bundle_s)
        await asyncio.sleep(bundle_s)

    async def add_up(self) -> None:
        """Everybody is charged for the time since the last look. Raises EngineAway, and then it is for free."""
        before, self._added_at = self._added_at, time.monotonic()
        if lending := self.lending():
            await lending.known()
            self.view = await lending.pool.look(EVERY_S / 2)
            metrics.gpus_expected(each.slug for each in self.view.classes)
            for (user, *others), count in held(self.view, self.group_of).items():
                metrics.GPU_SECONDS.labels(user if self.named else "", *others).inc(count * (self._added_at - before))
            await self._tell_exporter(mapping.jobs(self.view, named=self.named))

    async def _tell_exporter(self, jobs: Mapping[str, str]) -> None:
        try:
            if self.folder:
                await asyncio.to_thread(mapping.write, self.folder, jobs)
        except OSError as error:
            log.warning("dcgm-exporter is not told who holds the GPUs: %s", error)

    def collect(self) -> Iterator[Metric]:
        """The line as it is now, and the devices as they were at most ten seconds ago."""
        states = self._states()
        yield metrics.GPU_DEVICES.read(([each["slug"]], each["total"]) for each in states)
        yield metrics.GPU_SLOTS.read(([each["slug"]], each["slots"]) for each in states)
        yield metrics.GPU_LENT.read(([each["slug"]], each["slots"] - each["free"]) for each in states)
        yield metrics.GPU_WAITING.read(([each["slug"]], each["waiting"]) for each in states)
        yield metrics.LAB_GPU_INFO.read(holdings(self.view, named=self.named).items() if self.view else ())

    def _states(self) -> list[dict]:
        lending = self.lending()
        if not lending or not self.view:
            return []
        return state.class_states(self.view.classes, lending.pool.free(self.view), lending.pool.line)

