"""The pool of this process, fed by the Engine and the inventory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError, NotFound

from ..settings import GPUs
from .devices import GPUClass, classes_of
from .inventory import EVERY_S, Inventory
from .pool import EngineAway, Pool
from .tickets import Tickets


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
        self.pool = Pool(DockerEngine(client, executor), lambda: self.inventory.devices, Tickets(book), gpus)
        self._looked_at = 0.0
        self._looking: asyncio.Task | None = None

    @property
    def classes(self) -> tuple[GPUClass, ...]:
        """What this machine lends, as it was found last."""
        return classes_of(self.inventory.devices, self.gpus)

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
                self.pool.changed()
        finally:
            self._looked_at, self._looking = time.monotonic(), None
