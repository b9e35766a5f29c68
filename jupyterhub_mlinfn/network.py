"""The labs' network: one bridge with a fixed subnet, on which labs cannot reach each other.

Docker's library is imported where it is needed: `mlinfn status`, which asks for names alone, answers sooner without it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from .errors import OperatorError
from .settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

LONGEST = 15
"""Characters of an interface's name."""


def name(settings: Settings) -> str:
    """The network's name at the Engine."""
    return f"{settings.instance}-labs"


def bridge(settings: Settings) -> str:
    """Name of the network's interface on this machine. Linux allows 15 characters."""
    whole = name(settings)
    return whole if len(whole) <= LONGEST else hashlib.sha256(whole.encode()).hexdigest()[: LONGEST - 5] + "-labs"


def gateway(settings: Settings) -> str:
    """The host's address on the bridge: where labs find the hub."""
    return str(next(settings.network.labs_subnet.hosts()))


def ensure(client: APIClient, settings: Settings) -> None:
    """The network is there, with the subnet that the settings say. Raises OperatorError if it cannot be."""
    from docker.errors import NotFound

    try:
        found = client.inspect_network(name(settings))
    except NotFound:
        _make(client, settings)
        return
    subnet = found["IPAM"]["Config"][0]["Subnet"]
    if subnet != str(settings.network.labs_subnet):
        raise OperatorError(
            f"The network {name(settings)} has the subnet {subnet}; network.labs_subnet says "
            f"{settings.network.labs_subnet}. Stop all labs (`mlinfn down --labs`), then "
            f"`docker network rm {name(settings)}` and `mlinfn up`."
        )


def _make(client: APIClient, settings: Settings) -> None:
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    pool = IPAMPool(subnet=str(settings.network.labs_subnet), gateway=gateway(settings))
    made = {
        "com.docker.network.bridge.name": bridge(settings),
        "com.docker.network.bridge.enable_icc": "false",
    }
    try:
        client.create_network(
            name(settings), driver="bridge", options=made, ipam=IPAMConfig(pool_configs=[pool]), check_duplicate=True
        )
    except APIError as error:
        why = f"The labs' network cannot be made, see network.labs_subnet: {error.explanation}"
        raise OperatorError(why) from error
