"""Labels, spawners and database agree again: what nobody claims is stopped, at start and every minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError

from . import restored
from .container import LABELS
from .gpus import is_lab

EVERY_S = 60
Claims = Callable[[], frozenset[str]]
log = logging.getLogger("jupyterhub.mlinfn.reconcile")


def unclaimed(containers: Iterable[Mapping[str, Any]], claimed: frozenset[str]) -> tuple[str, ...]:
    """Ids of the containers whose name nobody claims. `containers` is the Engine's list of this instance's."""
    # An Engine that is just removing a container lists it without names.
    names = {found["Id"]: {name.lstrip("/") for name in found.get("Names") or ()} for found in containers}
    return tuple(container_id for container_id, known in names.items() if known and not claimed & known)


async def reconcile(client: APIClient, instance: str, claims: Claims) -> tuple[str, ...]:
    """Ids of the containers that were removed.

    The list is taken before the claims, so that a lab that is made in between is not mistaken for a lost one.
    """
    label = f"{LABELS}instance={instance}"
    containers = await asyncio.to_thread(client.containers, all=True, filters={"label": label})
    # An image made of a lab has its labels; what somebody runs from it is theirs.
    ours = [each for each in containers if is_lab(each) or restored.is_one(each)]
    lost = unclaimed(ours, claims())
    for container_id in lost:
        log.warning("Removing a container that nobody claims: %s", container_id[:12])
        await asyncio.to_thread(_remove, client, container_id)
    return lost


def _remove(client: APIClient, container_id: str) -> None:
    try:
        client.remove_container(container_id, v=True, force=True)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


async def run_forever(client: APIClient, instance: str, claims: Claims, is_up: Callable[[], bool]):
    """Reconciles once the hub knows its spawners, then every minute; an Engine that is unwell is asked again later."""
    while True:
        if is_up():
            try:
                await reconcile(client, instance, claims)
            except (APIError, requests.RequestException) as error:
                log.warning("The Docker Engine did not list the labs: %s", error)
            except Exception:  # the loop goes on for everybody, whatever it was this time
                log.exception("Labs were not compared with what the hub knows")
        await asyncio.sleep(EVERY_S if is_up() else 1)
