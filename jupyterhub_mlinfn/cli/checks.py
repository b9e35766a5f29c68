"""What `mlinfn status` and `mlinfn doctor` look at: functions from Facts to a Finding, in the order of the answer.

To add one, write the function and append it to STATUS (what a keeper wants to see daily) or to DOCTOR (why it may not
work); what it needs to know goes into Facts. None of them touches the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .. import backup_page
from ..discovery import WORDS
from ..gpus import Found
from ..images import OURS
from ..settings import Settings
from . import alerts_seen, backup_service, cvmfs_service, monitoring_config, monitoring_service, rooms_service
from .finding import Finding
from .gpu_findings import gpu_findings
from .output import counted
from .service_finding import service_finding

GB = 2**30
NO_GPUS = Found()
NOTHING_SEEN = cvmfs_service.Seen()
NO_BACKUPS = backup_service.Seen()
NO_ALERTS = alerts_seen.Seen()


@dataclass(frozen=True)
class Facts:
    """What was seen, all at about the same time."""

    settings: Settings
    engine: Mapping[str, Any] | str
    """`docker info`, or a sentence why there is none."""
    services: Mapping[str, str]
    """Service -> healthy, starting, missing... (compose.state); empty without an engine."""
    labs: tuple[str, ...]
    """User of each running lab."""
    images: frozenset[str]
    """NAME:TAG of the images on this machine."""
    service_images: tuple[str, ...]
    """The images without which nothing starts."""
    lab_images: tuple[str, ...]
    """The images that members pick from, with tags."""
    guard: str
    """What the guard said: "ok", or why not."""
    hub: str
    """What the hub said through the public port: "ok", or why not."""
    run_is_tmpfs: bool
    secrets: tuple[str, ...]
    """A sentence for each secret that is missing or that others can read."""
    free: Mapping[str, tuple[int, int]]
    """Path -> free and total bytes of its disk."""
    taken_ports: tuple[int, ...]
    """Ports of ours on which something answers."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What the hub wrote last of the identity service: ok, reason, since (epoch seconds); empty before it did."""
    away: tuple[str, ...] = ()
    """Folders of `storage.extra` that are not there, or do not answer."""
    gpus: Found = NO_GPUS
    """The GPUs that were found, and what the keeper should know about them."""
    cvmfs: cvmfs_service.Seen = NOTHING_SEEN
    """How the repositories stand."""
    misnamed_rooms: str = ""
    """What is wrong with names of rooms: the file, lines and sentences."""
    backups: backup_service.Seen = NO_BACKUPS
    """How the copies stand."""
    monitoring: alerts_seen.Seen = NO_ALERTS
    """What Prometheus finds wrong."""


Check = Callable[[Facts], "Finding | None"]


def docker(facts: Facts) -> Finding:
    """Without it the others that need it are not asked."""
    if isinstance(facts.engine, str):
        reason, _, remedy = facts.engine.partition(" Start it with: ")
        return Finding("red", "Docker", reason, remedy)
    return Finding("green", "Docker", f"Engine {facts.engine.get('ServerVersion', '?')} answers.")


def services(facts: Facts) -> Finding:
    return service_finding(facts.services)


def guard(facts: Facts) -> Finding:
    if facts.guard == "ok":
        return Finding("green", "Guard", "The labs' firewall is as it should be.")
    return Finding("red", "Guard", f"{facts.guard} No lab starts while the firewall is not known to be right.",
                   "mlinfn up")


def hub(facts: Facts) -> Finding:
    if facts.hub == "ok":
        return Finding("green", "Hub", f"It answers at http://{facts.settings.host}:{facts.settings.port}.")
    return Finding("red", "Hub", f"Nobody reaches it: {facts.hub}", "mlinfn logs hub proxy")


def identity(facts: Facts) -> Finding | None:
    """Whether those who log in can be looked up; nothing where everybody has a password here."""
    if facts.settings.login == "local":
        return None
    title, known = "Identity service", facts.identity
    if not known:
        return Finding("amber", title, "The hub has not looked at it yet.", "wait a minute, then: mlinfn logs hub")
    unknown = ", ".join(known.get("unknown", ()))
    if known["ok"] and unknown:
        return Finding("amber", title, f"It answers, but whether these may keep their labs cannot be told: {unknown}.",
                       "ask them to log in again; mlinfn logs hub")
    if known["ok"]:
        return Finding("green", title, "It answers; groups and tokens are those of now.")
    since = datetime.fromtimestamp(known["since"]).astimezone()
    logins = "" if known["reason"] == "no_refresh_token" else ", but nobody logs in"
    said = f"Since {since:%Y-%m-%d %H:%M %Z}: {WORDS[known['reason']]}. Labs and sessions go on{logins}."
    is_demo = facts.settings.login == "demo"
    return Finding("amber", title, said, "mlinfn logs iam-demo" if is_demo else "mlinfn iam check")


def labs(facts: Facts) -> Finding:
    people = counted(len(set(facts.labs)), "person", "people")
    said = f"{counted(len(facts.labs), 'lab')} running, of {people}." if facts.labs else "None is running."
    return Finding("green", "Labs", said)


def disk(facts: Facts) -> Finding:
    path, (free, total) = min(facts.free.items(), key=lambda item: item[1][0])
    said = f"{free / GB:.0f} of {total / GB:.0f} GB are free on the disk of {path}."
    remedy = f"du -xh --max-depth=2 {facts.settings.root} | sort -h | tail; docker system df"
    if free < GB or free < 0.02 * total:
        return Finding("red", "Disk", said, remedy)
    if free < 10 * GB or free < 0.1 * total:
        return Finding("amber", "Disk", said, remedy)
    return Finding("green", "Disk", said)


def folders(facts: Facts) -> Finding | None:
    """Whether labs see what the site wants them to see; nothing where it wants nothing."""
    if facts.away:
        return Finding("amber", "Folders", f"Labs start without {', '.join(facts.away)}: not there, or without answer.",
                       f"findmnt -T {facts.away[0]}; then mount it. Labs that start later see it")
    seen = ", ".join(str(extra.target) for extra in facts.settings.storage.extra)
    return Finding("green", "Folders", f"Labs see the site's own {seen}.") if seen else None


def subdomains(facts: Facts) -> Finding:
    if facts.settings.subdomains:
        return Finding("green", "Subdomains", "Each member's lab has a host name of its own.")
    return Finding("amber", "Subdomains", "They are off: a page in one member's lab can act as whoever opens it.",
                   "set `subdomains: true` once *.NAME resolves to this machine, then: mlinfn up")


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


def live_restore(facts: Facts) -> Finding:
    if facts.engine.get("LiveRestoreEnabled"):
        return Finding("green", "Engine restarts", "Labs go on while Docker is restarted (live-restore).")
    return Finding("amber", "Engine restarts", "Restarting Docker stops all labs: live-restore is off.",
                   'put "live-restore": true into /etc/docker/daemon.json, then: sudo kill -HUP $(pidof dockerd)')


def cdi(facts: Facts) -> Finding:
    if facts.engine.get("CDISpecDirs"):
        return Finding("green", "CDI", "Docker hands out devices by name.")
    return Finding("amber", "CDI", "Docker's CDI is off; GPUs are better handed out with it.",
                   'put "features": {"cdi": true} into /etc/docker/daemon.json, then restart Docker')


def bridge_filter(facts: Facts) -> Finding:
    if facts.engine.get("BridgeNfIptables", True):
        return Finding("green", "Between labs", "The kernel filters what labs send each other.")
    return Finding("red", "Between labs", "The kernel does not filter bridged traffic: labs could reach each other.",
                   "sudo modprobe br_netfilter && sudo sysctl net.bridge.bridge-nf-call-iptables=1")


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
    watching = monitoring_service.PROFILES
    binds |= {name: (monitoring_config.PORTS[name],) for name in watching if name in facts.services}
    last = max(max(offsets) for offsets in binds.values())
    strangers = [facts.settings.port + offset for service, offsets in binds.items() for offset in offsets
                 if facts.services.get(service) not in running and facts.settings.port + offset in facts.taken_ports]
    if strangers:
        return Finding("red", "Ports", f"Another program has {', '.join(map(str, strangers))}.",
                       f"sudo ss -ltnp 'sport = :{strangers[0]}'; stop it, or take another `port:`")
    return Finding("green", "Ports", f"{facts.settings.port} to {facts.settings.port + last} are ours.")


def run_folder(facts: Facts) -> Finding:
    if facts.run_is_tmpfs:
        return Finding("green", "Tokens", f"{facts.settings.root}/run is in memory only.")
    return Finding("red", "Tokens", f"{facts.settings.root}/run is not a tmpfs: tokens would reach the disk.",
                   "sudo mlinfn prepare")


def secrets(facts: Facts) -> Finding:
    if facts.secrets:
        return Finding("red", "Secrets", " ".join(facts.secrets), "sudo mlinfn prepare")
    return Finding("green", "Secrets", "Each can be read by its service alone.")


def rooms(facts: Facts) -> Finding | None:
    """Nothing where the site has no rooms."""
    if facts.misnamed_rooms:
        return Finding("red", "Rooms", f"The hub does not start again. {facts.misnamed_rooms}", "mlinfn config check")
    return None if isinstance(facts.engine, str) else rooms_service.images(facts.settings, facts.images)


WITHOUT_ENGINE: Sequence[Check] = (run_folder, secrets, backups, disk, folders, subdomains, rooms)
"""Those that have an answer while Docker is off."""
STATUS: Sequence[Check] = (docker, services, hub, guard, identity, labs, gpus, cvmfs, backups, monitoring, disk,
                           folders, subdomains, rooms)
DOCTOR: Sequence[Check] = (*STATUS, service_images, lab_images, ports, run_folder, secrets, live_restore, cdi,
                           bridge_filter, cvmfs_shared, cvmfs_flags)


def findings(checks: Sequence[Check], facts: Facts) -> list[Finding]:
    """What the checks found, in their order, where they concern this instance; without an engine, what can be known."""
    if isinstance(facts.engine, str):
        checks = [docker, *(each for each in checks if each in WITHOUT_ENGINE)]
    return [found for found in (check(facts) for check in checks) if found]


def worst(found: Sequence[Finding]) -> str:
    """The worst level among the findings."""
    return max((each.level for each in found), key=("green", "amber", "red").index, default="green")
