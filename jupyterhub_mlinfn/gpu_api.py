"""`GET /hub/api/mlinfn/gpus`: how the GPUs stand, for everybody who is signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.pages import HealthCheckHandler
from tornado.web import HTTPError

from .gpus import EngineAway, glance
from .gpus.lending import Lending

PATH = r"/api/mlinfn/gpus"
AWAY = "Docker does not answer, so nobody knows which GPUs are free. Try again in a minute."

STARTING = "The hub has just started and does not know yet which GPUs there are. Try again in a minute."


class GPUsHandler(APIHandler, HealthCheckHandler):  # successes of the latter are not logged: each open form asks often
    """The state of the GPUs as JSON, at most a second old. Who holds them is for admins."""

    SUPPORTED_METHODS = ("GET",)

    def initialize(self, lending: Callable[[], Lending | None]) -> None:
        """Remembers where to find the one that lends."""
        self.lending = lending

    async def get(self) -> None:
        """Classes, what the asking person holds and, for admins, who holds what.

        Who: whoever is signed in; `holders` takes the scope `admin:servers`
        Answer: `{"classes": [{"slug": "t4", "title": "T4", "memory": 16106127360, "kind": "whole", "total": 4,
            "free": 1, "slots": 4, "waiting": 2}], "mine": [{"server": "", "gpus": ["GPU-5c1f0a…"], "since":
            "2026-11-24T10:00:00Z"}], "holders": [{"user": "anna", "server": "", "gpus": ["GPU-5c1f0a…"]}]}`; a
            container that is not ours has the user null
        Otherwise: 503 while Docker does not answer, or just after the hub's start
        """
        who = self.current_user
        if who is None:
            raise HTTPError(403, "Sign in, or send a token.")
        user = None if isinstance(who, orm.Service) else who
        # The first to ask after the hub's start makes it.
        lending = self.lending() or getattr(user and user.spawner, "lending", None)
        if lending is None:
            raise HTTPError(503, STARTING)
        self.set_header("Cache-Control", "no-store")
        self.write(await self._told(lending, user.name if user else ""))

    async def _told(self, lending: Lending, user: str) -> dict[str, Any]:
        try:
            return await glance.answer(lending, user, with_holders=self.has_scope("admin:servers"))
        except EngineAway:
            raise HTTPError(503, AWAY) from None


def handlers(lending: Callable[[], Lending | None]) -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    return [(PATH, GPUsHandler, {"lending": lending})]
