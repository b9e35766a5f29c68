"""Getting data out of a snapshot, into a folder in which nothing is yet, each file compared with what was saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UserError
from ..settings_backup import KINDS, Kind
from .planning import escaped, kind_of, moment, newest
from .restic import Message, Restic

Snapshot = Mapping[str, Any]
Progress = Callable[[Message], None]
LATEST = "latest"
SHORT_ID = re.compile(r"[0-9a-f]{4,64}")
WHEN = "latest, a date such as 2026-11-24, a time such as 2026-11-24T15:00, or the id of a snapshot"


def chosen(snapshots: Sequence[Snapshot], when: str) -> dict[Kind, Snapshot]:
    """The newest snapshot of each kind that is not after a moment, or the one with an id. Raises UserError."""
    if when == LATEST:
        found = newest(snapshots)
    elif (end := _end_of(when)) is not None:
        found = newest(each for each in snapshots if moment(each["time"]) <= end)
    elif SHORT_ID.fullmatch(when):
        found = newest(each for each in snapshots if each["id"].startswith(when))
    else:
        raise UserError(f"{when} is no moment. Write {WHEN}.")
    if not found:
        there = f"The oldest is of {snapshots[0]['time'][:16]}." if snapshots else "There is none at all."
        raise UserError(f"There is no snapshot for {when}. {there}")
    return found


def named(snapshots: Sequence[Snapshot], name: str) -> Snapshot:
    """The one whose id begins so. Raises UserError if none does, or several."""
    found = [each for each in snapshots if SHORT_ID.fullmatch(name) and each["id"].startswith(name)]
    if len(found) != 1:
        of = "several snapshots" if found else "no snapshot"
        raise UserError(f"{name} is the id of {of}. Nothing was removed. All ids: mlinfn backup list")
    return found[0]


def _end_of(when: str) -> datetime | None:
    """The moment, or the end of the day, in this machine's time; None if it is neither."""
    if "-" not in when:  # an id may have digits only
        return None
    try:
        found = datetime.fromisoformat(when)
    except ValueError:
        return None
    day_is_meant = timedelta(days=1) if re.fullmatch(r"\d{4}-\d\d-\d\d", when) else timedelta()
    return (found + day_is_meant).astimezone()


def of_kind(found: Mapping[Kind, Snapshot], kind: Kind) -> Snapshot:
    """The one of a kind. Raises UserError if there is none."""
    if kind not in found:
        raise UserError(f"There is no snapshot of {kind} for that moment, but of {', '.join(found)}.")
    return found[kind]


def of_instance(snapshots: Sequence[Snapshot], instance: str = "") -> list[Snapshot]:
    """Those of one instance. Raises UserError if the target holds several and none was named."""
    names = sorted({each["hostname"] for each in snapshots})
    if len(names) > 1 and not instance:
        raise UserError(f"The target holds backups of {', '.join(names)}. Name one of them with --instance.")
    if instance and snapshots and instance not in names:
        raise UserError(f"The target holds nothing of {instance}, but of {', '.join(names)}.")
    return [each for each in snapshots if instance in ("", each["hostname"])]


def parsed(what: str) -> tuple[Kind, str]:
    """Kind of data and path in it of words such as homes/anna/thesis. Raises UserError."""
    kind, _, inner = what.strip("/").partition("/")
    if kind not in KINDS or ".." in PurePosixPath(inner).parts:
        raise UserError(f"{what} is nothing that is backed up. Write a kind of data ({', '.join(KINDS)}) and a path in "
                        "it, such as homes/anna/thesis.")  # fmt: skip
    return kind, inner


def restore(restic: Restic, snapshot: Snapshot, inner: str, folder: Path, progress: Progress) -> Message:
    """What restic says at the end. A folder comes with what is in it, a file alone. Raises Trouble, UserError."""
    path = PurePosixPath(snapshot["paths"][0]) / inner
    if _is_folder(restic, snapshot, path):
        words = [f"{snapshot['id']}:{path}"]
    else:
        words = [f"{snapshot['id']}:{path.parent}", f"--include=/{escaped(path.name)}"]
    said = restic.ask("restore", *words, f"--target={folder}", "--verify", "--sparse", progress=progress)
    return next((each for each in said if each.get("message_type") == "summary"), {})


def _is_folder(restic: Restic, snapshot: Snapshot, path: PurePosixPath) -> bool:
    """True for a folder, False for a file. Raises UserError if neither is in the snapshot."""
    if str(path) == snapshot["paths"][0]:
        return True
    nodes = restic.stream("ls", snapshot["id"], str(path))
    # By its depth, because restic cannot write every name; it lists nothing beside what was asked for.
    found = [each for each in nodes if each.get("path", "").count("/") == str(path).count("/")]
    if not found:
        raise UserError(f"{path.name!a} is not in the snapshot of {snapshot['time'][:16]}. Others: mlinfn backup list")
    return found[0]["type"] == "dir"


def dump(restic: Restic, snapshot: Snapshot, inner: str, to: Any) -> None:
    """What is in one file of a snapshot goes to an open file. Raises Trouble."""
    restic.write("dump", snapshot["id"], f"{snapshot['paths'][0]}/{inner}", to=to)


def as_data(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot for people and programs."""
    summary = snapshot.get("summary") or {}
    return {"id": snapshot["short_id"], "time": snapshot["time"], "kind": kind_of(snapshot),
            "instance": snapshot["hostname"], "files": summary.get("total_files_processed"),
            "bytes": summary.get("total_bytes_processed"), "added": summary.get("data_added_packed")}  # fmt: skip
