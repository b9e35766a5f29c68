"""What the idle culler is told about a lab: what it was started with, and whether a kernel in it computes.

The hub asks the lab, with the lab's own token: the culler's opens all labs, and whatever is sent to a lab is its
member's to keep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import HTTPError

from .container import LABELS

PATH = r"/api/mlinfn/labs/([^/]+)(?:/([^/]+))?"
ANSWER_S = 10
LONGEST_ANSWER = 2**20
Kernels = Literal["busy", "idle", "unknown"]


async def kernels(url: str, token: str, answer_s: float = ANSWER_S) -> Kernels:
    """Whether a kernel of the lab at this address computes now.

    A lab that says nothing, refuses or fails may compute all the same: unknown. One that answers something else than
    a list of kernels has none that could be asked: idle.
    """
    try:
        found = await asked(f"{url}api/kernels", token, answer_s)
    except HTTPClientError as error:
        return "idle" if 300 <= error.code < 400 or error.code == 404 else "unknown"
    except OSError:
        return "unknown"
    return "busy" if any(map(_computes, found if isinstance(found, list) else ())) else "idle"


async def asked(url: str, token: str, answer_s: float, longest: int = LONGEST_ANSWER) -> Any:
    """The data that a lab answers with, None for what is not JSON. Raises HTTPClientError and OSError."""
    # One of its own: the shared one asks ten at a time, and a lab may keep it waiting.
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=longest)
    try:
        answer = await client.fetch(url, headers={"Authorization": f"token {token}"}, follow_redirects=False,
                                    connect_timeout=answer_s, request_timeout=answer_s)  # fmt: skip
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    finally:
        client.close()


def _computes(kernel: Any) -> bool:
    return isinstance(kernel, Mapping) and kernel.get("execution_state") == "busy"


def started_with(container: Mapping[str, Any]) -> dict[str, Any]:
    """What a lab's inspected container says of it: {"profile": "lab", "memory": 8589934592, "gpus": False, "room": ""}.
    """
    labels = container["Config"].get("Labels") or {}
    return {"profile": labels.get(f"{LABELS}profile", ""), "memory": container["HostConfig"].get("Memory") or 0,
            "gpus": bool(labels.get(f"{LABELS}gpus")), "room": labels.get(f"{LABELS}room", "")}  # fmt: skip


def own_token(container: Mapping[str, Any]) -> str:
    """The token that the lab was started with; an empty one lets nobody in."""
    lines = container["Config"].get("Env") or ()
    return next((line.partition("=")[2] for line in lines if line.startswith("JUPYTERHUB_API_TOKEN=")), "")


class LabHandler(APIHandler):
    """`GET /hub/api/mlinfn/labs/NAME`: `started_with`, and `kernels`: busy, idle or unknown."""

    SUPPORTED_METHODS = ("GET",)

    @needs_scope("read:servers")
    async def get(self, user_name: str, server_name: str | None = None) -> None:
        """What a running lab was started with, and whether a kernel in it computes: busy, idle or unknown.

        Who: the scope `read:servers` for that person; the idle culler has it
        Answer: `{"profile": "lab", "memory": 8589934592, "gpus": false, "room": "", "kernels": "busy"}`
        Otherwise: 404 where no such lab runs
        """
        user = self.find_user(user_name)
        spawner = user and user.spawners.get(server_name or "")
        container = await spawner.get_object() if spawner and spawner.ready else None
        if container is None:
            raise HTTPError(404, "There is no such lab.")
        state = await kernels(spawner.server.url, own_token(container))
        self.write({**started_with(container), "kernels": state})


def handlers() -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    return [(PATH, LabHandler)]
