"""The accounts of rooms at the hub: one for each room, in its group, and none for a room that is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jupyterhub import orm, roles
from jupyterhub.app import JupyterHub
from jupyterhub.user import User
from jupyterhub.utils import maybe_future

from .rooms import Room
from .settings_rooms import ACCOUNT

TICK_S = 0.1
AGAIN_S = 60
MARK = "room"
"""Key in the `user_info` of a room's account; no person has it."""
log = logging.getLogger("jupyterhub.mlinfn.rooms")


def role(room: Room) -> dict[str, Any]:
    """The role, for JupyterHub's `load_roles`, by which the room's group may enter it, start it and stop it.

    A share of the room's server would not do: tokens, and so the sessions of who enters, have nothing of what is shared
    with a group.
    """
    return {"name": room.account, "description": f"Enter {room.title}", "scopes": list(room.scopes),
            "groups": [room.group]}  # fmt: skip


async def keep(app: JupyterHub, rooms: Sequence[Room], is_up: Callable[[], bool]) -> None:
    """Once the hub is up, every room has its account, and no account is left of rooms that are gone."""
    while not is_up():
        await asyncio.sleep(TICK_S)
    undone = [*(partial(make, app, room) for room in rooms), *(partial(remove, app, user) for user in gone(app, rooms))]
    while undone := [work for work in undone if not await _done(app, work)]:
        await asyncio.sleep(AGAIN_S)


async def _done(app: JupyterHub, work: Callable[[], Awaitable[None]]) -> bool:
    try:
        await work()
    except Exception:  # the outermost loop: what is wrong with one room must not keep the others from anybody
        app.db.rollback()
        log.exception("The account of a room is not as it should be; it is tried again in %s s", AGAIN_S)
        return False
    return True


async def make(app: JupyterHub, room: Room) -> None:
    """The room's account is there, in the room's group alone, and who enters it has nothing to confirm.

    A room that had another group until now is stopped: its lab has that group's folder.
    """
    user = _account(app, room.account)
    app.tornado_settings["oauth_no_confirm_list"].add(user.spawner.oauth_client_id)
    user.orm_user.user_info = {MARK: room.name, "name": room.title, "display_name": room.title}
    group = orm.Group.find(app.db, room.group)  # there is one: the room's role is its
    if user.orm_user.groups != [group]:
        await _stop(app, user)
        user.orm_user.groups = [group]
    app.db.commit()


def _account(app: JupyterHub, name: str) -> User:
    found = orm.User.find(app.db, name)
    if found is None:
        found = orm.User(name=name)
        app.db.add(found)
        roles.assign_default_roles(app.db, entity=found)
        app.db.commit()
    return app.users[found]


def gone(app: JupyterHub, rooms: Sequence[Room]) -> list[User]:
    """Accounts of rooms that are no more."""
    known = {room.account for room in rooms}
    found = app.db.query(orm.User).filter(orm.User.name.startswith(ACCOUNT))
    return [app.users[user] for user in found if user.name not in known and MARK in (user.user_info or {})]


async def remove(app: JupyterHub, user: User) -> None:
    """The room's lab is stopped, and its account is gone. Its folder and its uid stay."""
    name = user.name
    await _stop(app, user)
    await maybe_future(app.authenticator.delete_user(user))
    await user.delete_spawners()
    app.users.delete(user)
    log.warning("The room of the account %s is gone; its folder stays", name)


async def _stop(app: JupyterHub, user: User) -> None:
    if user.spawner.active:
        await app.proxy.delete_user(user)
        await user.stop()
