"""What is snapshotted, how restic is told so, and what its answers mean. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cronsim import CronSim

from ..settings import Backup, bytes_of
from ..settings_backup import KINDS, Keep, Kind

MACHINE = "machine:"
"""What the tag begins with that says which machine made a snapshot."""
GROUPS = "--group-by=host,paths"
"""Not by tags: another machine may go on with what one began."""
MARKER = ".mlinfn-noback"
"""A file of this name keeps its folder out of snapshots."""
LIVE_DATABASES = ("hub/*.sqlite", "hub/*.sqlite-*", "hub/export/.*")
"""What of the service is left out: whole copies of these are in hub/export, and one that is being made is not whole."""
RETRY = timedelta(minutes=10)
VERIFY_EVERY = timedelta(hours=20)
"""Less than a day, so that a nightly run that is a little early does it as well."""
TIDY_EVERY = timedelta(hours=20)
REREAD_EVERY = timedelta(days=6, hours=20)
TIME = re.compile(r"(\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
LARGEST_SAMPLE = 64 * 2**20
"""Larger files are not drawn for a verified restore."""


@dataclass(frozen=True)
class Taken:
    """What a snapshot of one kind of data holds."""

    snapshot: str
    time: str
    files: int
    bytes: int
    added: int
    unread: int = 0
    """Files that were there and could not be read."""


def tag(kind: Kind) -> str:
    """The tag of its snapshots."""
    return f"kind:{kind}"


def kind_of(snapshot: Mapping[str, Any]) -> Kind | None:
    """The kind of a snapshot that restic lists; None for one that is not ours."""
    tags = snapshot.get("tags") or ()
    return next((kind for kind in KINDS if tag(kind) in tags), None)


def machine_of(snapshot: Mapping[str, Any]) -> str:
    """The id of the machine that made it; empty for one that did not say."""
    tags = snapshot.get("tags") or ()
    return next((each.removeprefix(MACHINE) for each in tags if each.startswith(MACHINE)), "")


def snapshot_words(kind: Kind, source: Path, instance: str, machine: str, exclude: Iterable[str]) -> list[str]:
    """Words for restic that make a snapshot of one kind of data. Its path tells it from others, as its tag does.

    Restic does not go through all of it beforehand to know how much it is: that would be all that some runs do.
    """
    left_out = [str(source / each) for each in LIVE_DATABASES] if kind == "service" else list(exclude)
    marker = [] if kind == "service" else [f"--exclude-if-present={MARKER}"]
    return ["backup", "--no-scan", f"--host={instance}", f"--tag={tag(kind)}", f"--tag={MACHINE}{machine}", GROUPS,
            "--exclude-caches", *marker, *(f"--exclude={each}" for each in left_out), "--", str(source)]  # fmt: skip


def forget_words(backup: Backup, instance: str) -> list[list[str]]:
    """Words that forget the snapshots that need not be kept, a call for all kinds that are kept alike.

    The newest of each kind always is.
    """
    alike: dict[Keep, list[Kind]] = {}
    for kind in KINDS:
        alike.setdefault(backup.kept(kind), []).append(kind)
    return [_forget(keep, kinds, instance) for keep, kinds in alike.items()]


def _forget(keep: Keep, kinds: Iterable[Kind], instance: str) -> list[str]:
    numbers = {f"--keep-{name}": getattr(keep, name) for name in ("hourly", "daily", "weekly", "monthly")}
    return ["forget", f"--host={instance}", *(f"--tag={tag(kind)}" for kind in kinds), GROUPS, "--keep-last=1",
             *(f"{option}={number}" for option, number in numbers.items() if number)]  # fmt: skip


def limits(backup: Backup) -> list[str]:
    """Words that keep restic from taking the whole line; it counts in KiB."""
    return [f"--limit-upload={max(1, bytes_of(backup.bandwidth) // 1024)}"] if backup.bandwidth else []


def taken(messages: Iterable[Mapping[str, Any]], unread: int) -> Taken:
    """What restic says at the end of a backup."""
    said = next(each for each in messages if each.get("message_type") == "summary")
    return Taken(said["snapshot_id"], said["backup_end"], said["total_files_processed"], said["total_bytes_processed"],
                 said["data_added_packed"], unread)  # fmt: skip


def newest(snapshots: Iterable[Mapping[str, Any]]) -> dict[Kind, Mapping[str, Any]]:
    """The newest snapshot of each kind that has any."""
    ordered = sorted(snapshots, key=lambda each: moment(each["time"]))
    return {kind: each for each in ordered if (kind := kind_of(each))}


def files_in(snapshot: Mapping[str, Any]) -> int:
    """How many files a snapshot holds that restic lists."""
    return (snapshot.get("summary") or {}).get("total_files_processed", 0)


def percent(told: Mapping[str, Any], files: int) -> int:
    """How far a run is, if there are about as many files as before; 0 if there were none."""
    return min(99, 100 * told.get("files_done", 0) // files) if files else 0


def moment(text: str) -> datetime:
    """A time of restic's, which has nanoseconds and a zone."""
    whole, digits, zone = _parts(text)
    return datetime.fromisoformat(f"{whole}.{digits[:6]}{zone.replace('Z', '+00:00')}")


def minute(text: str) -> str:
    """A time of restic's as people here write it, and as a restore takes it."""
    return moment(text).astimezone().strftime("%Y-%m-%d %H:%M")


def nanoseconds(text: str) -> int:
    """The same since the epoch, with all its digits, as file systems have them."""
    return int(moment(text).replace(microsecond=0).timestamp()) * 10**9 + int(_parts(text)[1])


def _parts(text: str) -> tuple[str, str, str]:
    """Seconds, nine digits below them, and the zone."""
    whole, fraction, zone = TIME.fullmatch(text).groups()
    return whole, (fraction or "").ljust(9, "0"), zone


def next_run(schedule: str, begun: datetime | None, failed: bool, now: datetime) -> datetime:
    """When a target's turn is: at once for a new one, soon after one that failed, else as scheduled in the zone of now.

    A run that began in the future says that the clock was wrong then, and nothing else.
    """
    if begun is None or begun > now:
        return now
    scheduled = next(CronSim(schedule, begun.astimezone(now.tzinfo))).astimezone(timezone.utc)
    return min(scheduled, begun + RETRY) if failed else scheduled


def escaped(path: str) -> str:
    """A pattern of restic that is this path and nothing else."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def drawn(nodes: Iterable[Mapping[str, Any]], count: int, chance: random.Random) -> list[Mapping[str, Any]]:
    """A random part of the files that restic lists, each as likely as any other."""
    chosen: list[Mapping[str, Any]] = []
    for number, node in enumerate(_comparable(nodes)):
        if number < count:
            chosen.append(node)
        elif (place := chance.randrange(number + 1)) < count:
            chosen[place] = node
    return chosen


def _comparable(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Files that are not large, with names that can be told: JSON has no bytes, restic writes U+FFFD for them."""
    for node in nodes:
        if node.get("type") == "file" and node.get("size", 0) <= LARGEST_SAMPLE and "\ufffd" not in node["path"]:
            yield node
