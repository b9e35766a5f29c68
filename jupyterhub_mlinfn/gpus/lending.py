"""The pool of this process, fed by the Engine and the inventory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError, NotFound

from ..errors import OperatorError
from ..settings import GPUs
from .devices import Device, GPUClass, check, classes_of, unknown
from .inventory import EVERY_S, Inventory
from .pool import EngineAway, Pool
from .tickets import Tickets

log = logging.getLogger("jupyterhub.mlinfn.gpus")


class DockerEngine:
    """What the pool asks, of a real Engine, on threads."""

    def __init__(self, client: APIClient, executor: Executor):
        self.client, self.executor = client, executor

    async def containers(self) -> Sequence[Mapping[str, Any]]:
        """The Engine's list of all containers. Raises EngineAway."""
        return await self._ask(lambda: self.client.containers(all=True))

    async def inspect(self, container: str) -> Mapping[str, Any] | None:
        """Everything about one; None if it is gone. Raises EngineAway."""
        try:
            return await self._ask(lambda: self.client.inspect_container(container))
        except NotFound:
            return None

    async def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.executor, question)
        except NotFound:
            raise
        except (APIError, requests.RequestException) as error:
            raise EngineAway(str(error)) from error


class Lending:
    """One for each process: which GPUs there are, and the pool that lends them. `root` empty: places in line are lost
    when the hub restarts."""

    def __init__(self, gpus: GPUs, root: str, client: APIClient, executor: Executor):
        self.gpus = gpus
        self.inventory = Inventory(gpus, client.info().get("CDISpecDirs") or ())  # none where CDI is off
        book = Path(root) / "hub" / "gpus.sqlite" if root else ":memory:"
        self.pool = Pool(DockerEngine(client, executor), lambda: self.devices, Tickets(book), gpus)
        self.trouble = ""
        """What the settings say that cannot be on this machine. Nothing is lent then: it may be what is reserved."""
        self._seen: dict[str, Device] = {}
        self._looked_at = 0.0
        self._looking: asyncio.Task | None = None

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that can be lent now."""
        return () if self.trouble else self.inventory.devices

    @property
    def classes(self) -> tuple[GPUClass, ...]:
        """What this machine lends, as it was found last."""
        return classes_of(self.devices, self.gpus)

    @property
    def is_simulated(self) -> bool:
        """True if the devices do not exist, so that containers get none."""
        return self.inventory.found.source == "simulated"

    async def known(self) -> None:
        """Nothing, once the devices are known; what is known is looked at again every few seconds, off this path."""
        if not self._looking and time.monotonic() - self._looked_at > EVERY_S - 1:
            self._looking = asyncio.ensure_future(self._look())
        if self._looking and not self._looked_at:
            await asyncio.shield(self._looking)

    async def _look(self) -> None:
        try:
            if await self.inventory.refresh():
                self._check()
                self.pool.changed()
        finally:
            self._looked_at, self._looking = time.monotonic(), None

    def _check(self) -> None:
        """Whether the settings fit what was found. A device that was there once is no typing error, though it broke."""
        found = self.inventory.devices
        self._seen |= {device.uuid: device for device in found}
        before, self.trouble = self.trouble, ""
        try:
            check(self._seen.values(), self.gpus)
        except OperatorError as error:
            self.trouble = str(error)
        if self.trouble and self.trouble != before:
            log.error("No GPU is lent until mlinfn.yaml is mended. %s", self.trouble)
        for each in unknown(found, self.gpus):
            log.warning("%s", each)
