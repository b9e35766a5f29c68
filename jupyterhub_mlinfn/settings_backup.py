"""The section `backup` of mlinfn.yaml: what is copied where, when, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from .settings_types import Clashes, Duration, Memory, Model, overlap, seconds_of, text_like, twice
from .settings_words import Words

Kind = Literal["homes", "groups", "shared", "rooms", "service"]
"""What is kept apart: homes, folders of groups, what all share, rooms, and the hub with its secrets and settings."""
KINDS: tuple[Kind, ...] = ("homes", "groups", "shared", "rooms", "service")
ITS_OWN = tuple(map(Path, (*(f"/data/{kind}" for kind in KINDS), "/var/lib/backup", "/run/secrets", "/restored", "/etc",
                           "/usr", "/proc", "/sys", "/dev")))  # fmt: skip
"""Where the service's container has its sources, its state and its programs: a target there would hide them from it."""
NEW_YEAR, LAST_YEAR = datetime(2025, 12, 31, 23, 59, tzinfo=timezone.utc), 2082
"""Days of the week and of the month come together in the same way again after 28 years: twice that has every gap."""
LOOKED_AT = 1500
"""So many days with a run say how far apart they are at most: four years of every day, or 28 of every Friday."""
EVERY_DAY = ["*", "*", "*"]


def _schedule(text: str) -> str:
    """The text, which has to be five fields of cron that come to pass."""
    try:
        if len(text.split()) != 5:  # the library also takes six, with seconds
            raise ValueError("five fields")
        next(CronSim(text, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(str(error)) from None
    return text


Schedule = Annotated[str, AfterValidator(_schedule), Words(
    'five fields of cron (minute, hour, day, month, weekday), such as "0 3 * * *" for every night at three')]
Target = text_like(r"^(/[^\x00\n]*[^/\x00\n]|s3:\S+|sftp:\S+|rclone:\S+)$",
                   "a folder such as /srv/backup, or a repository of restic that begins with s3:, sftp: or rclone:")


class Keep(Model):
    hourly: int = Field(24, ge=0)
    """The last snapshot of each of so many hours."""
    daily: int = Field(14, ge=0)
    """The last of each of so many days."""
    weekly: int = Field(8, ge=0)
    """The last of each of so many weeks."""
    monthly: int = Field(12, ge=0)
    """The last of each of so many months."""

    def clashes(self) -> Clashes:
        if not (self.hourly or self.daily or self.weekly or self.monthly):
            yield ("hourly",), "keeps nothing, as do `daily`, `weekly` and `monthly`. Give one of them a number."


class Backup(Model):
    targets: tuple[Target, ...] = ("/srv/backup",)
    """Where snapshots go, each a repository of its own. Empty: there are no backups."""
    schedule: Schedule = "0 3 * * *"
    """When they are made, in the machine's time."""
    keep: Keep = Keep()
    """How many are kept."""
    keep_other: dict[Kind, Keep] = Field({})
    """Other numbers for a kind of data, such as {rooms: {monthly: 3}}. What is not written has its default."""
    exclude: tuple[str, ...] = (".cache", ".local/share/Trash", ".conda/pkgs", "micromamba/pkgs", "__pycache__")
    """What is left out of homes, groups, shared and rooms, as patterns of restic. A folder with a file
    .mlinfn-noback or a CACHEDIR.TAG is left out as well."""
    bandwidth: Memory | None = None
    """Most that is sent in a second to each target. Empty: no limit."""
    max_age: Duration = "2d"
    """`mlinfn status` is red when the newest good snapshot is older, or the hub's databases in it."""

    def clashes(self) -> Clashes:
        yield from twice(self.targets, "targets")
        for index, target in enumerate(self.targets):
            if around := _around(target, self.targets):
                yield ("targets", index), f"{target} lies in {around}, which is a target itself."
            if is_folder(target) and any(overlap(Path(target), each) for each in ITS_OWN):
                yield ("targets", index), f"{target} is a path that the service has for something else. Take another."
            if is_folder(target) and ".." in Path(target).parts:
                yield ("targets", index), f"{target} has `..` in it. Write where it is."
            if "@" in target and target.startswith(("s3:", "rclone:")):
                yield ("targets", index), "looks as if it holds a password. Credentials go into secrets/backup."
        if (most := widest(self.schedule)) >= timedelta(seconds=seconds_of(self.max_age)):
            hours = most.total_seconds() / 3600
            yield ("max_age",), (f"{self.max_age} is no more than the {hours:.0f} hours between two snapshots of "
                                 "`schedule`, so every one would be too old before the next.")

    def kept(self, kind: Kind) -> Keep:
        """How many of this kind are kept."""
        return self.keep_other.get(kind, self.keep)


def _around(target: str, targets: tuple[str, ...]) -> str:
    """Another target that this folder lies in; empty if there is none."""
    others = (each for each in targets if each != target and is_folder(each))
    return next((each for each in others if is_folder(target) and Path(target).is_relative_to(each)), "")


def is_folder(target: str) -> bool:
    """True for a folder of this machine."""
    return target.startswith("/")


def widest(schedule: str) -> timedelta:
    """The longest time between two runs of a schedule: on one day, or from the last of a day to the first of the next.

    The times of a day are the same on all days that have any, so neither has to be looked at for each of the other.
    """
    minute, hour, *days = schedule.split()
    all_times = CronSim(f"{minute} {hour} * * *", NEW_YEAR)
    times = list(takewhile(lambda each: each - NEW_YEAR <= timedelta(days=1), all_times))
    return max(_longest(times), _longest(_days(days)) - (times[-1] - times[0]))


def _days(fields: list[str]) -> list[datetime]:
    """Days with a run, from three fields of cron."""
    count = 2 if fields == EVERY_DAY else LOOKED_AT
    runs = takewhile(lambda each: each.year < LAST_YEAR, CronSim(f"0 0 {' '.join(fields)}", NEW_YEAR))
    return list(islice(runs, count))


def _longest(runs: list[datetime]) -> timedelta:
    return max((after - before for before, after in pairwise(runs)), default=timedelta())


def backup_clashes(backup: Backup, root: Path, extra: Iterable[Any]) -> Clashes:
    """A clash for each target that would be in what it is a copy of, or in reach of labs."""
    for index, target in enumerate(backup.targets):
        if not is_folder(target) or len(root.parts) < 3:
            continue
        if overlap(root, target):
            yield ("backup", "targets", index), f"{target} and `root`, {root}, lie in one another. Take another folder."
        for each in (each for each in extra if not root.is_relative_to(each.source)):
            if overlap(each.source, target):
                yield ("backup", "targets", index), f"labs would see {target} through `storage.extra`. Take another."
