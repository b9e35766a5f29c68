"""What others do not answer, or not as they should: names, resolvers, registries, proxies."""

from __future__ import annotations

from .finding import Finding
from .known import Facts
from .outside import registry_of

CHANGE_DNS = "sudo systemctl restart systemd-resolved, or write another `nameserver` into /etc/resolv.conf"


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
    asked = facts.outside.resolvers
    silent = [f"{address} ({why})" for address, why in asked.items() if why]
    if not asked:
        return Finding("amber", "Resolvers", "None is in /etc/resolv.conf: labs find no name outside.", CHANGE_DNS)
    if len(silent) == len(asked):
        return Finding("red", "Resolvers", f"None answers: {', '.join(silent)}. Labs and the hub find no name outside.",
                       CHANGE_DNS)
    if silent:
        return Finding("amber", "Resolvers", f"{', '.join(silent)} does not answer: names take seconds in labs.",
                       f"sudo sed -i '/^nameserver {silent[0].split()[0]}$/d' /etc/resolv.conf")
    return Finding("green", "Resolvers", f"{', '.join(asked)} answer.")


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
