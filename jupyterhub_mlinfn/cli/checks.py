"""What `mlinfn status` and `mlinfn doctor` look at: functions from Facts to Findings, in the order of the answer.

To add one, write the function beside those of its noun, and append it to STATUS (what a keeper wants to see daily) or
to DOCTOR (why it may not work); what it needs to know goes into Facts (known.py). None of them touches the world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..references import OURS
from . import alerts_seen, backup_service, cvmfs_service, rooms_service, tls_finding
from .account_findings import accounts
from .clock_findings import clock, others_clocks
from .disk_findings import disk, folders, inodes, read_only, rights, run_folder, secrets, shared_disk, targets
from .driver_findings import driver, reload_trap, specifications, toolkit
from .engine_findings import bridge_filter, cdi, compose, docker, engine_version, lab_limits, live_restore, own_root
from .finding import Finding
from .gpu_findings import gpu_findings
from .identity_findings import identity, issuer
from .kernel_findings import kernel
from .known import Facts
from .network_findings import guard, hub, ports, subdomains
from .output import counted
from .outside_findings import names, proxies, registries, resolvers
from .service_finding import service_finding

Check = Callable[[Facts], "Finding | list[Finding] | None"]


def services(facts: Facts) -> Finding:
    return service_finding(facts.services)


def certificate(facts: Facts) -> Finding:
    return tls_finding.finding(facts.settings, facts.certificate)


def labs(facts: Facts) -> Finding:
    people = counted(len(set(facts.labs)), "person", "people")
    said = f"{counted(len(facts.labs), 'lab')} running, of {people}." if facts.labs else "None is running."
    return Finding("green", "Labs", said)


def service_images(facts: Facts) -> Finding:
    missing = [name for name in facts.service_images if name not in facts.images]
    if missing:
        return Finding("red", "Our images", f"{', '.join(missing)} are missing.", "sudo ./install.sh")
    return Finding("green", "Our images", "All are on this machine.")


def lab_images(facts: Facts) -> Finding:
    missing = [name for name in facts.lab_images if name not in facts.images]
    if ours := [name for name in missing if name.startswith(OURS)]:
        return Finding("amber", "Members' images", f"Not on this machine, so nobody can start them: {', '.join(ours)}.",
                       _images_remedy(missing))
    if missing:
        return Finding("amber", "Members' images", f"Not on this machine yet: {', '.join(missing)}. Whoever picks one "
                       "first waits for it.", _images_remedy(missing))
    return Finding("green", "Members' images", f"{len(facts.lab_images)} are on this machine.")


def _images_remedy(missing: Sequence[str]) -> str:
    """The verbs that bring them."""
    ours = any(name.startswith(OURS) for name in missing)
    others = any(not name.startswith(OURS) for name in missing)
    return "; ".join(["sudo mlinfn images build"] * ours + ["sudo mlinfn images pull"] * others)


def gpus(facts: Facts) -> Finding | None:
    """Nothing where there are no GPUs, which is as well."""
    found = gpu_findings(facts.gpus, facts.settings)
    if found:
        return max(found, key=lambda each: each.level == "red")
    count = len(facts.gpus.devices)
    return Finding("green", "GPUs", f"{counted(count, 'is', 'are')} lent or reserved.") if count else None


def cvmfs(facts: Facts) -> Finding | None:
    """Nothing where the site has no repositories."""
    return cvmfs_service.answers(facts.settings, facts.cvmfs)


def backups(facts: Facts) -> Finding:
    return backup_service.finding(facts.settings, facts.backups)


def monitoring(facts: Facts) -> Finding | None:
    """Nothing where the site has nothing watched."""
    return alerts_seen.finding(facts.settings, facts.monitoring)


def cvmfs_shared(facts: Facts) -> Finding | None:
    """Nothing where the site has no repositories."""
    return cvmfs_service.shared(facts.settings, facts.cvmfs)


def cvmfs_flags(facts: Facts) -> Finding | None:
    """Nothing where the site has no repositories."""
    return cvmfs_service.flags(facts.settings, facts.cvmfs)


def rooms(facts: Facts) -> Finding | None:
    """Nothing where the site has no rooms."""
    if facts.misnamed_rooms:
        return Finding("red", "Rooms", f"The hub does not start again. {facts.misnamed_rooms}", "mlinfn config check")
    return None if isinstance(facts.engine, str) else rooms_service.images(facts.settings, facts.images)


STATUS: Sequence[Check] = (docker, services, hub, certificate, guard, identity, labs, gpus, cvmfs, backups, monitoring,
                           disk, folders, subdomains, rooms)
OF_ENGINE: Sequence[Check] = (engine_version, own_root, lab_limits, specifications, reload_trap)
"""Those that concern the machine, and take an engine that answers."""
OF_MACHINE: Sequence[Check] = (compose, driver, toolkit, kernel, accounts, rights, read_only, inodes, shared_disk,
                               targets, clock, others_clocks, issuer, names, resolvers, registries, proxies)
"""Those that concern the machine or others, whom `status` does not ask."""
DOCTOR: Sequence[Check] = (*STATUS, service_images, lab_images, ports, run_folder, secrets, live_restore, cdi,
                           bridge_filter, cvmfs_shared, cvmfs_flags, *OF_ENGINE, *OF_MACHINE)
WITHOUT_ENGINE: Sequence[Check] = (run_folder, secrets, backups, disk, folders, subdomains, rooms, *OF_MACHINE)
"""Those that have an answer while Docker is off."""


def findings(checks: Sequence[Check], facts: Facts) -> list[Finding]:
    """What the checks found, in their order, where they concern this instance; without an engine, what can be known."""
    if isinstance(facts.engine, str):
        checks = [docker, *(each for each in checks if each in WITHOUT_ENGINE)]
    if facts.machine is None or facts.outside is None:
        checks = [each for each in checks if each not in (*OF_ENGINE, *OF_MACHINE)]
    found = [check(facts) for check in checks]
    return [finding for each in found if each for finding in (each if isinstance(each, list) else [each])]


def worst(found: Sequence[Finding]) -> str:
    """The worst level among the findings."""
    return max((each.level for each in found), key=("green", "amber", "red").index, default="green")
