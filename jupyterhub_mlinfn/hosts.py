"""What the name or the address of a host tells by itself."""

from __future__ import annotations

import re

_LOOPBACK = re.compile(r"localhost|.+\.localhost|127(\.\d{1,3}){3}|::1")


def is_of_this_machine(host: str) -> bool:
    """True for a name or an address that leads nobody else here."""
    return bool(_LOOPBACK.fullmatch(host))


def is_address(host: str) -> bool:
    """True for an address, which has no subdomains and is looked up nowhere: no top-level domain is a number."""
    return host.rpartition(".")[2].isdigit()
