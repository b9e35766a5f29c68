"""What others do not answer, or not as they should: names, resolvers, registries, proxies."""

from __future__ import annotations

from . import engine
from .engine_findings import CHANGE
from .finding import Finding
from .known import Facts
from .outside import DOCKERS, LISTED, RESOLVED, registry_of


def names(facts: Facts) -> Finding | None:
    """Whether browsers find the hub and labs; nothing where they do so by themselves."""
    found, settings = facts.outside.names, facts.settings
    address = facts.outside.address or "ADDRESS"
    if not found:
        return None
    if not found[settings.host]:
        return Finding("red", "Names", f"{settings.host} has no address, so no browser finds the service.",
                       f"have the DNS say: {settings.host}. A {address}; for this machine alone: "
                       f"echo {address} {settings.host} | sudo tee -a /etc/hosts")
    if lost := [name for name, there in found.items() if not there]:
        return Finding("red", "Names", f"{lost[0]} has no address, nor will any lab's: nobody reaches their lab.",
                       f"have the DNS say: *.{settings.host}. A {found[settings.host]}; until then write "
                       "`subdomains: false` into mlinfn.yaml, then: mlinfn up")
    return Finding("green", "Names", f"{', '.join(found)} lead to {found[settings.host]}.")


def resolvers(facts: Facts) -> Finding:
    asked, source = facts.outside.resolvers, facts.outside.resolvers_from
    silent = {address: why for address, why in asked.items() if why}
    said = ", ".join(f"{address} ({why})" for address, why in silent.items())
    if not asked:
        return Finding("amber", "Resolvers", f"None is in /{source}: labs find no name outside.", _others(source))
    if len(silent) == len(asked):
        return Finding("red", "Resolvers", f"None answers: {said}. Labs and the hub find no name outside.",
                       _others(source))
    if silent:
        return Finding("amber", "Resolvers", f"{said} does not answer: names take seconds in labs.",
                       _without(source, next(iter(silent))))
    return Finding("green", "Resolvers", f"{', '.join(asked)} answer.")


def _others(source: str) -> str:
    """What has labs ask others than those that are in the file."""
    return {
        DOCKERS: "have labs ask those of the machine: " + _dockers('d.pop("dns")') + "; or write others into `dns` of "
                 f"/{DOCKERS} and restart Docker",
        RESOLVED: "sudo systemctl restart systemd-resolved; if that does not help, write others into `DNS=` of "
                  "/etc/systemd/resolved.conf and restart it again",
        LISTED: f"with the address of one that answers: echo nameserver ADDRESS | sudo tee -a /{LISTED}",
    }[source]  # fmt: skip


def _without(source: str, address: str) -> str:
    """What has labs not ask this one any more."""
    return {
        DOCKERS: _dockers(f'd["dns"].remove("{address}")'),
        RESOLVED: f"resolvectl dns; that says whose {address} is: take it out of the network's settings, or of `DNS=` "
                  "of /etc/systemd/resolved.conf, then: sudo systemctl restart systemd-resolved",
        LISTED: f"sudo sed -i --follow-symlinks '/^nameserver[[:space:]]*{address}[[:space:]]*$/d' /{LISTED}",
    }[source]  # fmt: skip


def _dockers(change: str) -> str:
    """Docker reads `dns` only when it starts."""
    return f"{CHANGE.format(change=change)} && {engine.restart_command()}"


def registries(facts: Facts) -> list[Finding]:
    """Those that do not answer although an offered image has to come from there."""
    missing = [image for image in facts.lab_images if image not in facts.images]
    away = {name: why for name, why in facts.outside.registries.items() if isinstance(why, str)}
    waiting = {name: [image for image in missing if registry_of(image, facts.engine) == name] for name in away}
    return [Finding("amber", "Registry", f"{name} does not answer ({away[name]}), so nobody can start "
                    f"{', '.join(images)}.", f"curl -v https://{name}/v2/; once it answers: sudo mlinfn images pull")
            for name, images in waiting.items() if images]  # fmt: skip


def proxies(facts: Facts) -> list[Finding]:
    """Proxies of CVMFS that do not answer."""
    silent = {place: why for place, why in facts.outside.proxies.items() if why}
    return [Finding("amber", "CVMFS's proxy", f"{place} does not answer ({why}): repositories are slow or hang.",
                    "write one that does into `cvmfs: {proxy: ...}` of mlinfn.yaml, then: mlinfn up")
            for place, why in silent.items()]  # fmt: skip
