"""Is this person still in? The answer at each refresh, for the hub's pages and for the loop over running labs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from weakref import WeakValueDictionary

from jupyterhub.utils import maybe_future

from ..discovery import Denied, Outage, TokenRefused
from ..errors import OperatorError, UserError
from ..identity import Subjects
from . import state as states
from .state import State


class Refreshing:
    """The part of IAMAuthenticator that refreshes; see `refresh_user`."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task] = set()
        # Newest state of each person: a handler that was overtaken may write an older one to the database.
        self._latest: dict[str, State] = {}

    async def refresh_user(self, user, handler=None, **kwargs: Any) -> dict | bool:
        """The person as they are now (JupyterHub's auth model), True if that cannot be told, or False if they are out.

        One at a time for each person: a refresh token that rotates must not be used twice. The new state is in the
        database before the next one may look. Only the identity service's word about this person is ever False.
        """
        if user.name in self.without_identity:
            return True
        # To the end, even if whoever asked does not wait so long: a new refresh token must not get lost.
        task = asyncio.get_running_loop().create_task(self._alone(user, handler))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _alone(self, user, handler) -> dict | bool:
        lock = self._locks.setdefault(user.name, asyncio.Lock())
        async with lock:
            return await self._refreshed(user, handler)

    def renew_at(self, auth_state: State) -> float:
        """When the access token has to be renewed, in epoch seconds; see state.renew_at."""
        return states.renew_at(auth_state)

    def keep_newest(self, model: dict, existing: State | None) -> State | None:
        """The newest state of this person, whichever of a login, a refresh and the database has it."""
        name = model["name"]
        newest = states.newest(model.get("auth_state"), existing, self._latest.get(name))
        if newest:
            self._latest[name] = newest
        return newest

    def delete_user(self, user) -> None:
        """Nothing is remembered of somebody whom the hub deletes."""
        self._latest.pop(user.name, None)
        super().delete_user(user)

    async def _refreshed(self, user, handler) -> dict | bool:
        state = states.newest(await user.get_auth_state(), self._latest.get(user.name))
        if not state or state.get("ended") or "expires" not in state:
            return False  # never logged in with us, or it is over
        if handler is not None and self.service.is_silent:
            return True  # nobody's page waits for an answer that is known not to come
        try:
            return await self._asked(user, state)
        except (Outage, TokenRefused):
            return True
        except Denied as denied:
            self.log.warning("%s is out: %s.", user.name, denied.why)
            await self._keep(user, {**self._latest.get(user.name, state), "ended": denied.why})
            return False
        except OperatorError as error:
            self.log.error("Whether %s may stay cannot be told: %s", user.name, error)
            return True

    async def _asked(self, user, state: State) -> dict | bool:
        """What the service says of the person, with a token that lasts. Raises Outage, TokenRefused or Denied."""
        await self.find_service(again=False)
        if time.time() < states.renew_at(state):
            with contextlib.suppress(TokenRefused):  # it was withdrawn, perhaps
                return await self._decided(user, state)
        try:
            state = await self._renewed(user, state)
        except Outage:  # the token of before, or one that came without a proof, may still tell who is out
            return await self._decided(user, states.newest(self._latest.get(user.name), state)) is not False
        try:
            return await self._decided(user, state)
        except TokenRefused:
            self.service.refused(user.name, self.refresh_s)
            raise

    async def _renewed(self, user, state: State) -> State:
        """The state with a new access token, saved: the old refresh token may be used up. Raises Denied or Outage."""
        if not state.get("refresh_token"):
            if not self.service.gives_refresh_tokens:
                self.service.came(with_refresh_token=False)
            raise Outage("no_refresh_token")
        asked = self.build_refresh_token_request_params(state["refresh_token"])
        info = await self.get_token_info(None, asked)
        info = {"refresh_token": state["refresh_token"], "scope": " ".join(state["scope"]), **info}
        info["subject"] = state["token_response"].get("subject")
        new = states.dated(self.build_auth_state_dict(info, state[self.user_auth_state_key]), state)
        await self._keep(user, new)
        if "id_token" in info:
            await self._require_same(info)
        return new

    async def _require_same(self, info: dict) -> None:
        """Nothing if an id token is about the person of the login. Raises Denied, or Outage if it proves nothing."""
        try:
            subject = await self.proven(info)
        except Denied:  # nobody but the service can have made it so
            self.service.failed("id_token", Outage("id_token"))
            raise Outage("id_token") from None
        if subject != info["subject"]:
            raise Denied("subject")

    async def _keep(self, user, state: State) -> None:
        self._latest[user.name] = state
        await user.save_auth_state(state)

    async def _decided(self, user, state: State) -> dict | bool:
        """The person's model by the rules of now, False if they are not allowed any more."""
        model = await self._model(state)
        self.service.accepted = user.name, time.monotonic()
        model["name"] = name = user.name  # who was renamed there keeps this name until the next login
        is_blocked = not await maybe_future(self.check_blocked_users(name, model))
        if is_blocked or not (self.allow_all or await maybe_future(self.check_allowed(name, model))):
            self.log.warning("%s is out: not allowed any more.", name)
            return False
        try:
            await self.ask_book(Subjects.check, model)
        except UserError as error:
            raise Denied(error.reason) from None
        await self._keep(user, model["auth_state"])
        return model

    async def _model(self, state: State) -> dict:
        try:
            model = await self._token_to_auth_model(state["token_response"])
        except UserError:  # claims without a name are the site's mistake; the subject says who it is
            raise Outage("server_error") from None
        return {**model, "auth_state": {**model["auth_state"], "turn": state["turn"]}}
