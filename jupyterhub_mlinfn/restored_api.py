"""`POST /hub/api/mlinfn/restored?date=2026-11-24T03.00&into=home/analysis&bytes=4096`: a tar goes into one's home.

The body, as long as it likes, is unpacked in a container of the member's own into `restored/DATE/INTO`, where nothing
that is there is written over. It takes a token with the scope `custom:mlinfn:restore`, and is about the home of whose
that is. A client that sends `Expect: 100-continue` hears of a refusal before it sends anything.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.user import User
from tornado.web import HTTPError, stream_request_body

from . import __version__, folders, restored, volumes
from .delivery import GRACE_S, STDERR, STDOUT, Said, delivering
from .engine import BROKEN_ENGINE
from .errors import OperatorError, UserError
from .member import MemberSpawner
from .references import OURS, with_tag
from .settings import Settings
from .settings_rooms import ACCOUNT
from .unpacking import CUT, DAMAGED, FULL, PLACE, WHOLE

PATH = r"/api/mlinfn/restored"
IDLE_S = 60
PLACING_S = 60 * 60
"""How long it may take until all that has arrived is in its place."""
STATUS: Mapping[str, int] = {"words": 400, CUT: 400, DAMAGED: 400, "turn": 409, PLACE: 422, FULL: 507, "disk": 507,
                             "ended": 503}  # fmt: skip
"""HTTP's number for the reason of a UserError."""
IDLE = "Nothing arrived any more, so nothing is restored. Try again."
ENDED = ("The restore was ended before it was done. Files of it that are in your home are whole. Try again; if it "
         "stays so, tell the keeper.")  # fmt: skip
NO_ENGINE = "Docker could not do this at the moment, so nothing is restored. Try again in a minute."
STALLED = "The disk of the homes takes nothing at the moment, so not everything is restored. Try again later."
NOT_SET_UP = "This service is not set up rightly, so nothing is restored. The keeper finds the reason in the hub's log."
UNDER_WAY: set[str] = set()
"""Names of the containers of all restores that go on."""
ENDING: set[asyncio.Task] = set()


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Nobody else restores in this container during the block. Raises UserError (reason "turn")."""
    if name in UNDER_WAY:
        raise UserError("A restore of yours goes on already. Wait for its end, or stop it.", reason="turn")
    UNDER_WAY.add(name)
    try:
        yield
    finally:
        UNDER_WAY.discard(name)


@stream_request_body
class RestoredHandler(APIHandler):
    """Passes a tar on as it comes, and as fast as it is taken."""

    SUPPORTED_METHODS = ("POST",)

    def initialize(self, instance: str, image: str, root: Path, idle_s: float) -> None:
        """Remembers whose containers these are, of which image, where homes are, and how long who sends may pause."""
        self.instance, self.image, self.root, self.idle_s = instance, image, root, idle_s
        self.open = AsyncExitStack()
        self.idle: asyncio.TimerHandle | None = None
        self.is_over = False

    async def prepare(self) -> None:
        """Nothing, once the container waits for data. Raises HTTPError before any is read."""
        self.request.connection.set_max_body_size(sys.maxsize)
        await super().prepare()
        lab = self._member().spawner
        async with self._told():
            self.wanted = restored.parse(self.request.query_arguments)
            await self._begin(lab)
        self._wait()

    def _member(self) -> User:
        who = self.current_user
        if not isinstance(who, User) or who.name.startswith(ACCOUNT):
            raise HTTPError(403, "Only a person has a home to restore into: sign in, or send a token of yours.")
        if not self.has_scope(restored.SCOPE):
            raise HTTPError(403, f"Your token does not let anybody restore: it lacks the scope {restored.SCOPE}.")
        return who

    async def _begin(self, lab: MemberSpawner) -> None:
        person = lab.person()
        self.open.enter_context(turn(restored.name_of(self.instance, person)))
        home, mount = folders.of_person(self.root, person)[0], volumes.of_person(self.root, person)[0]
        await asyncio.to_thread(folders.make, home)
        restored.check_space(self.wanted, await asyncio.to_thread(_free, home.path))
        plan = restored.plan(self.instance, self.image, person, mount, self.wanted)
        self.delivery = await self.open.enter_async_context(delivering(lab, plan))

    async def data_received(self, chunk: bytes) -> None:
        """Nothing, once there is room for more. Tornado knows no errors here, so one is answered at once."""
        if self.is_over:
            return
        self._stop_waiting()
        try:
            async with self._told():
                if not await self.delivery.take(chunk):
                    self._understood(await self.delivery.end(GRACE_S))
                    raise UserError(ENDED, reason="ended")
            self._wait()
        except HTTPError as error:
            self._refuse(error)

    async def post(self) -> None:
        """What became of a tar that was unpacked into `restored/DATE/INTO` of one's home, where nothing that is
        there is written over.

        Who: a person, with the scope `custom:mlinfn:restore`
        Takes: `?date=2026-11-24T03.00&into=home/analysis&bytes=4096`, of which `bytes` may be left out, and the tar,
            of any length, chunked or not
        Answer: `{"folder": "restored/2026-11-24T03.00/home/analysis", "files": 12, "kept": 2, "kept_names": ["a.md"],
            "failed": 0, "failed_names": []}`
        Otherwise: 400 for words that mean nothing or no whole archive, 408 when nothing arrives for a minute, 409
            while another one goes on, 422 when something is in the way, 507 when the disk is full, 503 when it
            cannot be done now
        """
        self._stop_waiting()
        async with self._told():
            await self.delivery.take(WHOLE)
            said = self._understood(await self.delivery.end(PLACING_S))
        await self._closed()
        self.write(said)

    def _understood(self, said: Said) -> dict[str, Any]:
        told = restored.answer(said[STDOUT], self.wanted.folder)
        if told is None:
            self.log.error("A restore ended without a word: %s", said[STDERR].decode(errors="replace")[-2000:])
            raise UserError(ENDED, reason="ended")
        return told

    def _wait(self) -> None:
        """For who sends, and not for ever."""
        self.idle = asyncio.get_running_loop().call_later(self.idle_s, self._let_go, HTTPError(408, IDLE))

    def _stop_waiting(self) -> None:
        if self.idle:
            self.idle.cancel()

    def on_finish(self) -> None:
        """The container goes, whatever became of it."""
        super().on_finish()
        self._let_go()

    def on_connection_close(self) -> None:
        """So it does if the client has gone."""
        super().on_connection_close()
        self._let_go()

    def _let_go(self, because: HTTPError | None = None) -> None:
        self.is_over = True
        self._stop_waiting()
        task = asyncio.ensure_future(self._closed(because))
        ENDING.add(task)  # kept: asyncio itself holds tasks only weakly
        task.add_done_callback(ENDING.discard)

    async def _closed(self, because: HTTPError | None = None) -> None:
        """Nothing, once the container is gone, and whoever waits has heard why."""
        try:
            await self.open.aclose()
        except BROKEN_ENGINE as error:  # then the reconciler does it
            self.log.warning("The container of a restore could not be removed: %s", error)
        if because and not self._finished:
            self._refuse(because)

    def _refuse(self, error: HTTPError) -> None:
        self.send_error(error.status_code, exc_info=(type(error), error, error.__traceback__))

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Errors in words for the member, once the container is gone."""
        try:
            with self._translated():
                yield
        except HTTPError:
            await self._closed()
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise HTTPError(STATUS[error.reason], str(error)) from error
        except OperatorError as error:
            self.log.error("Nothing is restored for %s: %s", self.current_user.name, error)
            raise HTTPError(503, NOT_SET_UP) from error
        except asyncio.TimeoutError as error:
            raise HTTPError(503, STALLED) from error
        except (*BROKEN_ENGINE, DockerException, ConnectionError) as error:
            self.log.error("The Docker Engine did not restore for %s: %s", self.current_user.name, error)
            raise HTTPError(503, NO_ENGINE) from error


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def handlers(settings: Settings) -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    known = {"instance": settings.instance, "image": with_tag(f"{OURS}hub", __version__), "root": settings.root}
    return [(PATH, RestoredHandler, {**known, "idle_s": IDLE_S})]
