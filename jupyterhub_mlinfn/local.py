"""`login: local`: a password for each person, for sites without an identity provider and for trying out.

Only people in the file of passwords.py enter. A wrong password costs the next attempt for that name a growing wait, so
guessing is slow. The wait is bounded, and nothing outlasts the attempts: who keeps a name's queue full keeps its owner
out for as long, and no longer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.web import HTTPError
from traitlets import Set, Unicode, default

from . import claims, passwords
from .errors import OperatorError, UserError


def delay_s(failures: int) -> float:
    """Seconds that an attempt waits after so many failed ones: nothing for the first three, then 0.5 up to 5."""
    return 0.0 if failures < 3 else min(0.5 * 2 ** min(failures - 3, 10), 5.0)


@dataclass
class Queue:
    """The attempts to log in under one name: how many failed since the last success, how many stand in line."""

    failures: int = 0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Attempts:
    """Lets attempts for one name through one at a time, each after its wait; different names do not meet.

    At most `longest_queue` attempts of a name stand in line, and the `most_names` names seen last are remembered.
    """

    def __init__(self, *, delay=delay_s, longest_queue: int = 10, most_names: int = 10_000):
        self.delay = delay
        self.longest_queue = longest_queue
        self.most_names = most_names
        self.queues: OrderedDict[str, Queue] = OrderedDict()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Queue]:
        """The name's queue, when it is this attempt's turn. Raises UserError if too many are waiting already."""
        queue = self._queue(name)
        if queue.waiting >= self.longest_queue:
            raise UserError(f"Too many attempts to log in as {name} at this moment. Try again in a minute.",
                            reason="login")
        queue.waiting += 1
        try:
            async with queue.turn:
                await asyncio.sleep(self.delay(queue.failures))
                yield queue
        finally:
            queue.waiting -= 1

    def _queue(self, name: str) -> Queue:
        queue = self.queues.setdefault(name, Queue())
        self.queues.move_to_end(name)
        if len(self.queues) > self.most_names:
            oldest = next((other for other, seen in self.queues.items() if not seen.waiting and other != name), None)
            self.queues.pop(oldest, None)
        return queue


class LocalAuthenticator(Authenticator):
    """Logs in the people of one file of passwords; their groups and admin rights come from it at every refresh."""

    passwords = Unicode("/srv/mlinfn/hub/passwords.json", config=True, help="""
        The file of people that `mlinfn users` keeps: argon2id hashes, groups and who is an admin.
        Nobody who is not in it can log in; without the file, nobody can.
        """)

    without_identity = Set(Unicode(), config=True, help="""
        Hub users who are nobody in the file, such as accounts of rooms. They are never looked for in it.
        """)

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.attempts = Attempts()
        # Each hash takes 64 MiB and a core for a moment: two at once, the others wait.
        self.executor = ThreadPoolExecutor(2, thread_name_prefix="argon2")

    @default("manage_groups")
    def _manage_groups(self) -> bool:
        return True

    @default("any_allow_config")
    def _any_allow_config(self) -> bool:
        return True  # the file says who is allowed

    @default("auth_refresh_age")
    def _auth_refresh_age(self) -> int:
        return 60

    @default("auth_refresh_strict")
    def _auth_refresh_strict(self) -> bool:
        return True  # who was removed is out with tokens as well

    @default("refresh_pre_spawn")
    def _refresh_pre_spawn(self) -> bool:
        return True

    def normalize_username(self, username: str) -> str:
        """The one spelling of a name; see passwords.normalise."""
        return super().normalize_username(passwords.normalise(username))

    def validate_username(self, username: str) -> bool:
        """True if JupyterHub and we can both work with the name."""
        if username in self.without_identity:
            return True
        try:
            return passwords.check_name(username) == username and super().validate_username(username)
        except UserError:
            return False

    def check_allowed(self, username: str, authentication: dict | None = None) -> bool:
        """True for people in the file, and for nobody else."""
        return username in self._people()

    async def authenticate(self, handler, data: dict[str, str]) -> dict | None:
        """The person's name, groups and admin right if the password is right, else None."""
        try:
            name = self.normalize_username(passwords.check_name(data.get("username", "")))
            async with self.attempts.turn(name) as queue:
                person = await self._verified(name, data.get("password", ""))
                queue.failures = 0 if person else queue.failures + 1
        except UserError as error:
            raise HTTPError(403, str(error)) from None
        return self._model(name, person) if person else None

    async def refresh_user(self, user, handler=None) -> dict | bool:
        """Groups and admin right as the file has them now, or False for who is no longer in it."""
        if user.name in self.without_identity:
            return True
        person = self._people().get(user.name)
        return self._model(user.name, person) if person else False

    async def _verified(self, name: str, password: str) -> passwords.Person | None:
        person = self._people().get(name)
        loop = asyncio.get_running_loop()
        short = password[: passwords.LONGEST_PASSWORD + 1]
        return person if await loop.run_in_executor(self.executor, passwords.matches, person, short) else None

    def _people(self) -> passwords.People:
        try:
            return passwords.read(Path(self.passwords))
        except (OperatorError, OSError) as error:
            self.log.error("Nobody can log in: %s", error)
            raise HTTPError(503, "Logging in does not work at the moment. Tell the keeper of this service.") from None

    def _model(self, name: str, person: passwords.Person) -> dict:
        admin = person.admin or name in self.admin_users
        model = {"name": name, "admin": admin, "user_info": claims.user_info({}, name)}
        return {**model, "groups": list(person.groups)} if self.manage_groups else model
