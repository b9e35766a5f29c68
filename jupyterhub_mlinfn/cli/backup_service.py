"""The service `backup` on the machine: what it needs before it starts, and how the copies stand."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .. import files
from ..backup import place
from ..backup.state import State, load, machine, time_of
from ..cvmfs import mounts
from ..settings import Settings, seconds_of
from ..settings_backup import is_folder
from . import backup_folders
from .finding import Finding

NAME = "backup"
"""The service, and the profile that it is in."""
COMPOSE_FILE = "compose.backup.yaml"
SHOWN = "key_was_shown"
"""A file among the secrets that says which key somebody has seen."""
EMPTY_CREDENTIALS = """# Credentials of targets, a section for each, named like the target in mlinfn.yaml:
#
# [s3:https://s3.example.org/backups]
# AWS_ACCESS_KEY_ID = ...
# AWS_SECRET_ACCESS_KEY = ...
"""
READABLE = 37
"""So many characters leave room for a machine's id, and for what a container by hand has before it."""
TIME_ZONES = Path("/usr/share/zoneinfo")
SHOW_KEY = "sudo mlinfn backup key"
AGAIN = "mlinfn backup run"
LOGS_OF_HUB = "see mlinfn logs hub, then: mlinfn backup run"
REMEDIES: Mapping[str, str] = {
    "missing": "mount its disk, then: mlinfn up",
    "emptied": "mount its disk, then: mlinfn up",
    "unfinished": "if nothing in it but `keys` holds a file, remove `keys`, then: mlinfn backup run",
    "another": "if it is the right one: mlinfn backup adopt {url}",
    "machine": "if this machine goes on in its place: mlinfn backup adopt {url}",
    "databases": LOGS_OF_HUB,
}
"""What mends a trouble that does not mend itself."""


@dataclass(frozen=True)
class Seen:
    """How the copies stand."""

    states: tuple[State, ...] = ()
    on_one_disk: bool = False
    """All targets are on the disk that the data are on."""
    key_was_shown: bool = True
    now: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)


def look(settings: Settings, now: datetime) -> Seen:
    """What is there to be seen on this machine."""
    targets = settings.backup.targets
    known = tuple(load(settings.root / NAME, url) for url in targets)
    table = mounts.read()
    on_one_disk = all(is_beside(target, settings.root, table) for target in targets)
    return Seen(known, on_one_disk, key_was_shown(settings.root / "secrets" / NAME), now)


def key_was_shown(secrets: Path) -> bool:
    """True if somebody has seen the key that is there now."""
    key, shown = secrets / place.KEY, secrets / SHOWN
    return key.is_file() and shown.is_file() and shown.read_text() == fingerprint(key)


def fingerprint(key: Path) -> str:
    """What tells a key from another, and nobody what it is."""
    return hashlib.sha256(key.read_bytes()).hexdigest()


def is_beside(target: str, root: Path, table: Sequence[mounts.Mounted]) -> bool:
    """True for a folder on the disk of the root. Neither is touched: a share that does not answer would hold us up."""
    return is_folder(target) and mounts.carrier(table, target) == mounts.carrier(table, str(root))


def ground(settings: Settings, fstab: Path) -> list[str]:
    """What the service needs, made where it is missing: folders of targets, a place for credentials."""
    done, disks, table = [], {}, mounts.read()
    away = backup_folders.away(settings, fstab.read_text() if fstab.is_file() else "", table)
    for target in filter(is_folder, settings.backup.targets):
        if target in away:
            done.append(f"Nothing is copied to {target}: {away[target]}. When it is: mlinfn up")
            continue
        if not Path(target).is_dir():
            Path(target).mkdir(mode=0o700)
            done.append(f"Made {target} for backups.")
        disks[target] = mounts.carrier(table, target).path
    path = settings.root / "secrets" / NAME / place.CREDENTIALS
    if not path.is_file():
        files.replace(path, EMPTY_CREDENTIALS)
    for each in given(settings):
        if (each.stat().st_uid, stat.S_IMODE(each.stat().st_mode)) != (0, 0o600):
            os.chown(each, 0, 0)
            each.chmod(0o600)
            done.append(f"Closed {each} to others.")
    text = json.dumps(compose_part(settings, host(settings), time_zone(), disks), indent=1) + "\n"
    written = files.replace_if_changed(settings.root / COMPOSE_FILE, text)
    return [*done, *([f"Wrote {settings.root / COMPOSE_FILE}."] if written else [])]


def given(settings: Settings) -> list[Path]:
    """The credentials that a keeper has put there."""
    return place.given(settings.root / "secrets" / NAME)


def host(settings: Settings) -> str:
    """The name of the service's host, with which those of other containers of ours end. No other machine has it.

    Restic notes it in its locks, where a keeper reads it, and we see which are ours. It has at most 63 characters.
    """
    readable = f"{settings.instance}-{NAME}.{platform.node()}"[:READABLE].rstrip(".-")
    return f"{readable}.{machine(settings.root / NAME)}"


def compose_part(settings: Settings, host: str, zone: str, disks: Mapping[str, str]) -> Mapping[str, Any]:
    """What Compose has to know besides compose.yaml. Compose reads JSON as well; it takes `$` for a variable.

    `disks` are the targets that are folders, with the mounts that they lie on: Compose makes the container anew when
    one was mounted meanwhile, and only a new one sees it.
    """
    volumes = [{"type": "bind", "source": each.replace("$", "$$"), "target": each.replace("$", "$$")}
               for each in disks]  # fmt: skip
    environment = {"TZ": zone, "MLINFN_BACKUP_HOST": host}
    labels = {"it.infn.mlinfn.disks": ", ".join(disks.values()).replace("$", "$$")}
    return {"services": {NAME: {"hostname": host, "environment": environment, "labels": labels, "volumes": volumes}}}


def time_zone(local: Path = Path("/etc/localtime")) -> str:
    """The name of this machine's time zone; UTC where it has none."""
    path = local.resolve()
    return str(path.relative_to(TIME_ZONES)) if path.is_relative_to(TIME_ZONES) else "UTC"


def finding(settings: Settings, seen: Seen) -> Finding:
    """How the copies stand, the worst first."""
    title, targets = "Backups", settings.backup.targets
    if not targets:
        return Finding("amber", title, "There are none: what is on this machine's disk is all there is.",
                       "write `backup: {targets: [...]}` into mlinfn.yaml, then: mlinfn up")
    least = seen.now - timedelta(seconds=seconds_of(settings.backup.max_age))
    if old := [each for each in seen.states if _known_good(each, seen.now) < least]:
        return Finding("red", title, " ".join(_said(each, seen.now) for each in old), _remedy(old))
    if late := [each for each in seen.states if each.exported and time_of(each.exported) < least]:
        return Finding("red", title, " ".join(_said_of_databases(each, seen.now) for each in late), LOGS_OF_HUB)
    if wrong := [each for each in seen.states if each.since]:
        return Finding("amber", title, " ".join(_said(each, seen.now) for each in wrong), _remedy(wrong))
    if len([each for each in seen.states if each.good]) < len(targets):
        return Finding("amber", title, "The first one is not done yet.", AGAIN)
    return _warned(seen) or Finding("green", title, " ".join(_said(each, seen.now) for each in seen.states))


def _remedy(wrong: Sequence[State]) -> str:
    return next((REMEDIES[each.reason].format(url=each.url) for each in wrong if each.reason in REMEDIES), AGAIN)


def _known_good(state: State, now: datetime) -> datetime:
    """When it was last known to be good, or else when trouble began; a time to come is of a clock that was wrong."""
    times = (state.newest_good, time_of(state.since), now)
    return next(each for each in times if each and each <= now)


def _warned(seen: Seen) -> Finding | None:
    """What is not well although the copies are."""
    if not seen.key_was_shown:
        return Finding("amber", "Backups", "Nobody has put the key into a safe. Without it they are of no use.",
                       SHOW_KEY)
    if incomplete := [each for each in seen.states if _lacks(each)]:
        return Finding("amber", "Backups", " ".join(f"{each.url}: {_lacks(each)}" for each in incomplete),
                       f"mlinfn logs {NAME}")
    if seen.on_one_disk:
        return Finding("amber", "Backups", f"{_said(seen.states[0], seen.now)} It is on the disk that the data are on "
                       "and dies with it.", "add a target elsewhere to `backup.targets`: docs/how-to/back-up.md")
    return None


def _lacks(state: State) -> str:
    unread = sum(each.unread for each in state.kinds.values())
    return state.stale or (f"{unread} files could not be read." if unread else "")


def _said(state: State, now: datetime) -> str:
    good = f"the newest good snapshot is {age(state.newest_good, now)} old" if state.newest_good else "no good snapshot"
    if not state.since:
        return f"{state.url}: {good}."
    return f"{state.trouble or f'{state.url}: A run was cut off.'} Until then {good}."


def _said_of_databases(state: State, now: datetime) -> str:
    return f"{state.url}: the hub's databases in it are {age(time_of(state.exported), now)} old. {state.stale}".strip()


def age(moment: datetime, now: datetime) -> str:
    """ "3 hours", "2 days"."""
    hours = int((now - moment).total_seconds() // 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} hours" if hours > 1 else "an hour" if hours else "less than an hour"
