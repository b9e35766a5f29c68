"""How the GPUs stand now, for who looks: one question to Docker serves everybody who looks at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from . import state
from .lending import Lending
from .offer import Shown, shown
from .policy import limits_of
from .pool import EngineAway, Pool, View

OLDEST_S = 0.5
"""The form counts on it: see templates/mlinfn/gpus.js."""
_looks: WeakKeyDictionary[Pool, asyncio.Task[View]] = WeakKeyDictionary()


async def look(pool: Pool) -> View:
    """Who holds what, at most half a second ago. Raises EngineAway."""
    task = _looks.get(pool)
    if task is None or task.done():
        task = _looks[pool] = asyncio.ensure_future(pool.look(OLDEST_S))
    return await asyncio.shield(task)


async def answer(lending: Lending, user: str, *, with_holders: bool = False) -> dict[str, Any]:
    """The contract's answer for this person. Raises EngineAway."""
    await lending.known()
    pool = lending.pool
    view = await look(pool)
    return state.answer(view, pool.free(view), pool.line, user, with_holders=with_holders)


async def form(lending: Lending, groups: Iterable[str]) -> Shown | None:
    """What the form shows to a member of these groups, None where no GPU is lent."""
    await lending.known()
    if not lending.classes:
        return None
    try:
        told = state.by_slug((await answer(lending, ""))["classes"])
    except EngineAway:
        told = {}
    limits, wait = limits_of(groups, lending.gpus), lending.gpus.wait
    return shown(lending.classes, limits, told, wait=wait, is_simulated=lending.is_simulated)
