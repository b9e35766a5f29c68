"""Whether people reach the hub, and labs nothing else: ports, names, the firewall."""

from __future__ import annotations

from .. import backup_page
from . import backup_service, cvmfs_service, monitoring_config, monitoring_service, rooms_service
from .finding import Finding
from .known import Facts


def guard(facts: Facts) -> Finding:
    if facts.guard == "ok":
        return Finding("green", "Guard", "The labs' firewall is as it should be.")
    return Finding("red", "Guard", f"{facts.guard} No lab starts while the firewall is not known to be right.",
                   "mlinfn up")


def hub(facts: Facts) -> Finding:
    if facts.hub == "ok":
        return Finding("green", "Hub", f"It answers at http://{facts.settings.host}:{facts.settings.port}.")
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
    binds |= {name: (monitoring_config.PORTS[name],) for name in monitoring_service.PROFILES if name in facts.services}
    last = max(max(offsets) for offsets in binds.values())
    strangers = [facts.settings.port + offset for service, offsets in binds.items() for offset in offsets
                 if facts.services.get(service) not in running and facts.settings.port + offset in facts.taken_ports]
    if strangers:
        return Finding("red", "Ports", f"Another program has {', '.join(map(str, strangers))}.",
                       f"sudo ss -ltnp 'sport = :{strangers[0]}'; stop it, or take another `port:`")
    return Finding("green", "Ports", f"{facts.settings.port} to {facts.settings.port + last} are ours.")
