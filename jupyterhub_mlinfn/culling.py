"""Which idle labs are stopped: what jupyterhub-idle-culler is told, read from mlinfn.yaml in its own process."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .rooms import rooms_of
from .settings import Settings, bytes_of, load, seconds_of

log = logging.getLogger("jupyterhub.mlinfn.culling")


def idle_limit_s(settings: Settings, lab: Mapping[str, Any]) -> int:
    """Seconds of idleness allowed to a lab: by room or image, else by memory size, else as to all.

    `lab` is what `activity` says of it. One with a GPU is allowed no more than `culling.gpu_idle`.
    """
    image = next((image for image in settings.images if image.slug == lab["profile"]), None)
    room = next((room for room in rooms_of(settings) if room.name == lab["room"]), None)
    by_memory = {bytes_of(size): idle for size, idle in settings.culling.memory_idle.items()}
    own = room.idle if room else image and image.idle
    limit_s = seconds_of(own or by_memory.get(lab["memory"]) or settings.culling.idle)
    return min([limit_s, *(_gpu_idle_s(settings) if lab["gpus"] else ())])


def _gpu_idle_s(settings: Settings) -> list[int]:
    """The idle time of labs with a GPU, if the site lends any and has one."""
    lends = settings.gpus.source != "none"
    return [seconds_of(settings.culling.gpu_idle)] if lends and settings.culling.gpu_idle else []


def shortest_s(settings: Settings) -> int:
    """The shortest idle time that any lab has."""
    own = [each.idle for each in (*settings.images, *rooms_of(settings)) if each.idle]
    usual = map(seconds_of, [settings.culling.idle, *settings.culling.memory_idle.values(), *own])
    return min([*usual, *_gpu_idle_s(settings)])


Ask = Callable[[str], Awaitable["Mapping[str, Any] | None"]]
"""The full name of a server, NAME/SERVER -> what `activity` says of the lab; None if nothing can be known now."""


def asking(api_url: str, token: str) -> Ask:
    """Asks the hub, never a lab: the culler's token opens all of them."""

    async def ask(full_name: str) -> Mapping[str, Any] | None:
        url = f"{api_url}/mlinfn/labs/{quote(full_name.rstrip('/'))}"
        try:
            answer = await AsyncHTTPClient().fetch(url, headers={"Authorization": f"token {token}"}, request_timeout=30)
        except (HTTPClientError, OSError) as error:
            log.warning("Nothing is known about the lab %s, so it goes on: %s", full_name, error)
            return None
        return json.loads(answer.body)

    return ask


def arbiter(settings: Settings, ask: Ask):
    """The culler's hook: True for a lab that may be stopped for idleness.

    One that does not say whether it computes is not, and lives as long as `culling.max_age` lets it.
    """

    async def may_stop(inactive: timedelta | None, inactive_limit: int, server: Mapping[str, Any], **_: Any) -> bool:
        idle_s = inactive.total_seconds() if inactive else 0
        if idle_s < shortest_s(settings):  # so that a lab in use costs no question
            return False
        lab = await ask(server["full_name"])
        if lab is None or idle_s < idle_limit_s(settings, lab):
            return False
        return settings.culling.stop_busy or lab["kernels"] == "idle"

    return may_stop


def between_looks_s(settings: Settings) -> int:
    """Seconds from one look at all labs to the next: half the shortest limit, within 5 s and 5 minutes."""
    oldest = seconds_of(settings.culling.max_age) if settings.culling.max_age else 600
    return max(5, min(shortest_s(settings) // 2, oldest // 2, 300))


def configure(c: Any, environ: Mapping[str, str] = os.environ) -> None:
    """Sets the culler's traits from mlinfn.yaml."""
    settings = load(Path(environ["MLINFN_CONFIG"]), dict(environ))
    c.IdleCuller.timeout = seconds_of(settings.culling.idle)
    c.IdleCuller.max_age = seconds_of(settings.culling.max_age) if settings.culling.max_age else 0
    c.IdleCuller.cull_every = between_looks_s(settings)
    ask = asking(environ["JUPYTERHUB_API_URL"], environ["JUPYTERHUB_API_TOKEN"])
    c.IdleCuller.cull_arbiter_hook = arbiter(settings, ask)
