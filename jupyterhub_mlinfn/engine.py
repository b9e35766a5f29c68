"""DockerSpawner made fit for many people at once: threads, stops that hold nobody up, polls that do not panic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import requests
from docker.errors import APIError, NotFound
from docker.utils import kwargs_from_env
from dockerspawner import DockerSpawner
from traitlets import Bool, Unicode, default, observe

from . import metrics
from .container import LABELS
from .errors import OperatorError
from .gpus import Lease, giving
from .gpus.lending import Lending
from .images import Images
from .settings import Settings, seconds_of
from .traits import ModelTrait

BROKEN_ENGINE = (APIError, requests.RequestException)


class EngineSpawner(DockerSpawner):
    """How the containers of labs are made, found, asked after and stopped, and what all labs share."""

    instance = Unicode(Settings.model_fields["instance"].default, config=True, help="Name of this installation.")
    starting = ModelTrait("starting")
    gpus = ModelTrait("gpus")
    host_images = ModelTrait("host_images")
    root = Unicode("", config=True, help="Folder of homes and uids. Empty: homes are named volumes of Docker.")
    remove = Bool(True, help="Always true: a kept container would come back with yesterday's image.")

    images_here: ClassVar[tuple[str, ...]] = ()
    """References of the images on this machine, as they were last looked at; where the site offers them."""
    _executor = None
    _stopping = None
    _puller = None
    _turns = None
    _lending = None
    _checks: ClassVar[set[asyncio.Task]] = set()

    # What is one per process, built at first use: configuration would copy it for each spawner.
    @property
    def executor(self) -> ThreadPoolExecutor:
        """Threads for the short calls to the Engine."""
        if EngineSpawner._executor is None:
            EngineSpawner._executor = ThreadPoolExecutor(16, thread_name_prefix="docker")
        return EngineSpawner._executor

    @property
    def stopping(self) -> ThreadPoolExecutor:
        """Threads of their own for stops: a lab that ignores SIGTERM holds one for its whole grace."""
        if EngineSpawner._stopping is None:
            EngineSpawner._stopping = ThreadPoolExecutor(16, thread_name_prefix="stop")
        return EngineSpawner._stopping

    @property
    def puller(self) -> Images:
        """The one that fetches images for everybody."""
        if EngineSpawner._puller is None:
            EngineSpawner._puller = Images(ended=metrics.image_pulled, version="auto", **kwargs_from_env())
        return EngineSpawner._puller

    @property
    def turns(self) -> asyncio.Semaphore:
        """Lets so many containers be made at the same time."""
        if EngineSpawner._turns is None:
            EngineSpawner._turns = asyncio.Semaphore(self.starting.at_once)
        return EngineSpawner._turns

    _has_asked = False

    def run_post_stop_hook(self):
        """The site's own hook. Before it, a place in line is given up by who stopped waiting; a hub that comes back and
        finds starts cut off gives up nobody's."""
        if self._has_asked:
            self.lending.pool.leave(self.user.name, self.name)
        return super().run_post_stop_hook()

    @property
    def lending(self) -> Lending:
        """The one that lends GPUs to everybody."""
        if EngineSpawner._lending is None:
            self.lend(Lending(self.gpus, self.root, self.client, self.executor))
        return EngineSpawner._lending

    @classmethod
    def lend(cls, lending: Lending) -> None:
        """From now on this one lends GPUs to everybody."""
        EngineSpawner._lending = lending

    @classmethod
    def shared_lending(cls) -> Lending | None:
        """That of this process, once some spawner needed it."""
        return EngineSpawner._lending

    @default("client_kwargs")
    def _default_client_kwargs(self):
        return {"num_pools": 40}

    @observe("remove")
    def _keep_removing(self, change):
        if not change.new:
            raise OperatorError("remove must stay True: a kept container holds yesterday's choices.")

    async def known(self) -> None:
        """Nothing, once it is known what the offer depends on: GPUs and, where they are offered, the images here."""
        await self.lending.known()
        if self.host_images:
            found = await self.docker("images")
            EngineSpawner.images_here = tuple(tag for image in found for tag in image.get("RepoTags") or ())

    async def make_room(self) -> None:
        """A container that a failed stop left behind is gone. One that is not ours is left alone."""
        if await self.get_object():
            await self.discard()
        elif await self.found():
            raise OperatorError(f"A container that is not ours has the name {self.object_name}. Rename or remove it.")

    async def create(self, **asked) -> str:
        """The id of a container made as asked. If the start is stopped meanwhile, it does not stay."""
        making = asyncio.ensure_future(self.docker("create_container", **asked))
        try:
            return (await asyncio.shield(making))["Id"]
        except asyncio.CancelledError:
            # The Engine goes on all the same, and nobody would know the container: it would hold its GPU for a minute.
            made = await making
            await self.docker("remove_container", made["Id"], v=True, force=True)
            raise

    async def container_state(self) -> Mapping[str, Any]:
        """How the container is, as the Engine says."""
        return (await self.docker("inspect_container", self.object_id))["State"]

    async def discard(self) -> None:
        """Nothing is left of a container that did not come to run: it would hold its GPU until somebody missed it."""
        if container_id := self.object_id:
            self.object_id = ""
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self.stopping, self._stop_and_remove, container_id, 0))
            self.lending.pool.changed()

    async def stop(self, now=False):
        """The container is gone; other members' calls to the Engine never wait for it."""
        grace = 0 if now else seconds_of(self.starting.stop_grace)
        if await self.get_object():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.stopping, self._stop_and_remove, self.object_id, grace)
        self.lending.pool.changed()
        self.clear_state()

    def _stop_and_remove(self, container_id: str, grace_s: int) -> None:
        try:
            self.client.stop(container_id, timeout=grace_s)
            self.client.remove_container(container_id, v=True, force=True)
        except NotFound:
            pass
        except APIError as error:
            if error.status_code != 409:  # 409: somebody else is removing it already
                raise

    async def get_object(self):
        """This lab's inspected container or None. Unlike the base class, an Engine that is unwell is not "gone"."""
        found = await self.found()
        self.object_id = found["Id"] if found and self.is_mine(found) else ""
        return found if self.object_id else None

    async def found(self) -> Mapping[str, Any] | None:
        """The inspected container that has this lab's id or name, whoever made it."""
        try:
            return await self.docker("inspect_container", self.object_id or self.object_name)
        except NotFound:
            return None

    def is_mine(self, container: Mapping[str, Any]) -> bool:
        """Whether a container is this lab, and not something else with its name."""
        labels = container["Config"].get("Labels") or {}
        mine = {"instance": self.instance, "user": self.user.name, "server": self.name}
        return all(labels.get(f"{LABELS}{key}") == value for key, value in mine.items())

    async def poll(self):
        """None while the lab runs. An Engine that does not answer proves nothing about the lab: still None.

        A lab without an id was being started when the hub was killed: nobody knows its address, so it counts as gone
        and the reconciler removes its container.
        """
        if not self.object_id:
            return 0
        try:
            return await super().poll()
        except BROKEN_ENGINE as error:
            self.log.warning("The Docker Engine did not say how %s is: %s", self._log_name, error)
            return None

    def check_gpus(self, lease: Lease) -> None:
        """Beside the start and off its path: a lab that sees other devices than it was lent is stopped."""
        task = asyncio.ensure_future(self._compare(lease, self.object_id))
        self._checks.add(task)  # kept: asyncio itself holds tasks only weakly
        task.add_done_callback(self._checks.discard)

    async def _compare(self, lease: Lease, container_id: str) -> None:
        try:
            wrong = giving.difference(lease, await self._devices_in(container_id))
        except BROKEN_ENGINE as error:
            self.log.warning("Nobody could look which GPUs %s sees: %s", self._log_name, error)
            return
        if wrong:
            lent = ", ".join(lease.uuids) or "none"
            self.log.error("The lab of %s is stopped. %s Lent were: %s.", self.user.name, wrong, lent)
            await asyncio.get_running_loop().run_in_executor(self.stopping, self._stop_and_remove, container_id, 0)

    async def _devices_in(self, container_id: str, folder: str = "/dev") -> list[str]:
        """Paths in the container's /dev, and in the folder with the rights to slices of GPUs, if it is there."""
        made = await self.docker("exec_create", container_id, ["ls", "-1", folder])
        said = await self.docker("exec_start", made["Id"])
        ended = await self.docker("exec_inspect", made["Id"])
        if ended["ExitCode"] != 0:
            raise APIError(f"ls ended with exit code {ended['ExitCode']}")
        found = [f"{folder}/{name}" for name in said.decode(errors="replace").split()]
        return found + (await self._devices_in(container_id, giving.RIGHTS) if giving.RIGHTS in found else [])
