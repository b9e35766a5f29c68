"""Whether people reach the hub, and labs nothing else: ports, names, the firewall."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .. import backup_page, login
from . import backup_service, cvmfs_service, monitoring_config, monitoring_service, rooms_service, tls_service
from .finding import Finding
from .known import Facts

WHY = re.compile(r'"why": "([^"]+)"')
"""What the guard says of itself."""
GONE = "the rules are missing or changed"
MODULES = "nf_tables nft_ct nft_reject_inet"
"""Of the kernel; with them nft can load the rules."""


def guard(facts: Facts) -> Finding:
    """What its health says, with what mends it: rules that went come back by themselves, unless nft refuses them."""
    if facts.guard == "ok":
        return Finding("green", "Guard", "The labs' firewall is as it should be.")
    why, until = WHY.search(facts.guard), "No lab starts while the firewall is not known to be right."
    if not why:
        return Finding("red", "Guard", f"{facts.guard} {until}", "mlinfn up")
    again = f"docker restart {facts.settings.instance}-guard"
    is_gone = why[1] == GONE
    return Finding("red", "Guard", f"{why[1][0].upper()}{why[1][1:]}. {until}",
                   f"{again}; mlinfn logs guard" if is_gone else f"sudo modprobe -a {MODULES} && {again}")


def hub(facts: Facts) -> Finding:
    if facts.hub == "ok":
        return Finding("green", "Hub", f"It answers at {login.public_url(facts.settings)}.")
    return Finding("red", "Hub", f"Nobody reaches it: {facts.hub}", "mlinfn logs hub proxy")


def subdomains(facts: Facts) -> Finding:
    if facts.settings.subdomains:
        return Finding("green", "Subdomains", "Each member's lab has a host name of its own.")
    return Finding("amber", "Subdomains", "They are off: a page in one member's lab can act as whoever opens it.",
                   "set `subdomains: true` once *.NAME resolves to this machine, then: mlinfn up")


def ports(facts: Facts) -> Finding:
    running = {"healthy", "starting", "unhealthy", "running"}
    binds = {"proxy": (0, 1), "hub": (2,), "guard": (3,)}
    if facts.settings.login == "demo":
        binds["iam-demo"] = (4,)
    if "gpus" in facts.services:
        binds["gpus"] = (5,)
    if cvmfs_service.PROBE in facts.services:
        binds[cvmfs_service.PROBE] = (6,)
    if rooms_service.PAGE in facts.services:
        binds[rooms_service.PAGE] = (7,)
    if backup_service.NAME in facts.services:
        binds[backup_service.NAME] = (8,)
    if backup_page.SERVICE in facts.services:
        binds[backup_page.SERVICE] = (9,)
    watching = (*monitoring_service.PROFILES, tls_service.TRAEFIK, tls_service.CERTIFICATE)
    binds |= {name: (monitoring_config.PORTS[name],) for name in watching if name in facts.services}
    last = max(max(offsets) for offsets in binds.values())
    wanted = [(service, facts.settings.port + offset) for service, offsets in binds.items() for offset in offsets]
    wanted += [(tls_service.TRAEFIK, port) for port in facts.settings.tls.ports]
    strangers = [port for service, port in wanted
                 if facts.services.get(service) not in running and port in facts.taken_ports]
    if strangers:
        return _taken(strangers, facts.machine.owners if facts.machine else {})
    return Finding("green", "Ports", f"{facts.settings.port} to {facts.settings.port + last} are ours.")


def _taken(ports: Sequence[int], owners: Mapping[int, tuple[int, str]]) -> Finding:
    """Ports of ours that others have; `owners` as far as they are known."""
    said = [f"{port}: {owners[port][1]}, process {owners[port][0]}" if port in owners else str(port) for port in ports]
    known = sorted({str(owners[port][0]) for port in ports if port in owners})
    remedy = f"sudo kill {' '.join(known)}" if known else f"sudo ss -ltnp 'sport = :{ports[0]}'; stop it"
    return Finding("red", "Ports", f"Another program has {'; '.join(said)}.", f"{remedy}, or take another `port:`")
