"""Which idle labs are stopped: what jupyterhub-idle-culler is told, read from mlinfn.yaml in its own process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .settings import Settings, load, seconds_of


def idle_limit_s(settings: Settings, options: Mapping[str, Any]) -> int:
    """Seconds of idleness allowed to a lab started with these options: by image, else by memory size, else for all.

    A lab with a GPU is allowed no more than `culling.gpu_idle`.
    """
    image = next((image for image in settings.images if image.slug == options.get("profile")), None)
    by_memory = settings.culling.memory_idle.get(options.get("memory"))
    limit_s = seconds_of((image and image.idle) or by_memory or settings.culling.idle)
    has_gpu = str(options.get("gpus") or "0") != "0"
    return min([limit_s, *(_gpu_idle_s(settings) if has_gpu else ())])


def _gpu_idle_s(settings: Settings) -> list[int]:
    """The idle time of labs with a GPU, if the site lends any and has one."""
    lends = settings.gpus.source != "none"
    return [seconds_of(settings.culling.gpu_idle)] if lends and settings.culling.gpu_idle else []


def shortest_s(settings: Settings) -> int:
    """The shortest idle time that any lab has."""
    by_image = [image.idle for image in settings.images if image.idle]
    usual = map(seconds_of, [settings.culling.idle, *settings.culling.memory_idle.values(), *by_image])
    return min([*usual, *_gpu_idle_s(settings)])


async def is_busy(server: Mapping[str, Any], port: int, token: str) -> bool:
    """Whether a kernel of this lab computes now. A lab that does not answer shows no work, so it counts as idle.

    Asked through the proxy on loopback: only browsers know what NAME.localhost is.
    """
    place = urlsplit(server.get("full_url") or server["url"])
    headers = {"Authorization": f"token {token}", **({"Host": place.netloc} if place.netloc else {})}
    url = f"http://127.0.0.1:{port}{place.path.rstrip('/')}/api/kernels"
    try:
        answer = await AsyncHTTPClient().fetch(url, headers=headers, request_timeout=10)
    except (HTTPClientError, OSError):
        return False
    return any(kernel["execution_state"] == "busy" for kernel in json.loads(answer.body))


def arbiter(settings: Settings, token: str):
    """The culler's hook: True for a lab that may be stopped for idleness."""

    async def may_stop(inactive: timedelta | None, inactive_limit: int, server: Mapping[str, Any], **_: Any) -> bool:
        if inactive is None or inactive.total_seconds() < idle_limit_s(settings, server.get("user_options") or {}):
            return False
        return settings.culling.stop_busy or not await is_busy(server, settings.port, token)

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
    c.IdleCuller.cull_arbiter_hook = arbiter(settings, environ["JUPYTERHUB_API_TOKEN"])
