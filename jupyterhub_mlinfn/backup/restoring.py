"""Getting data out of a snapshot, into a folder in which nothing is yet, each file compared with what was saved."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UserError
from ..settings_backup import KINDS, Kind
from .planning import escaped, kind_of, minute, moment, newest
from .restic import GONE, NO_SPACE, Message, Restic, error_in, errors_in
from .trouble import Trouble, short

Snapshot = Mapping[str, Any]
Progress = Callable[[Message], None]
LATEST = "latest"
UNKNOWN = "\ufffd"
"""What JSON has in place of a byte that is no text."""
SHORT_ID = re.compile(r"[0-9a-f]{4,64}")
UNLOCKED = "--no-lock"
"""A lock of restic's own would outlive a killed restore, and hold up checks for half an hour; nor could it be made on a
disk that can only be read. Those of ours who remove something keep off meanwhile, by `state.removing`."""
SPANS = {r"\d{4}-\d\d-\d\d": timedelta(days=1),
         r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(Z|[+-]\d\d:\d\d)?": timedelta(minutes=1)}  # fmt: skip
"""How long what somebody wrote lasts: a day means its last snapshot, and a minute, as lists show it, as well."""
WHEN = "latest, a date such as 2026-11-24, a time such as 2026-11-24T15:00, or the id of a snapshot"


def chosen(snapshots: Sequence[Snapshot], when: str) -> dict[Kind, Snapshot]:
    """The newest snapshot of each kind that is not after a moment, or the one with an id. Raises UserError."""
    if when == LATEST:
        found = newest(snapshots)
    elif (end := _end_of(when)) is not None:
        found = newest(each for each in snapshots if moment(each["time"]) < end)
    elif SHORT_ID.fullmatch(when):
        found = newest(each for each in snapshots if each["id"].startswith(when))
    else:
        raise UserError(f"{when} is no moment. Write {WHEN}.")
    if not found:
        there = f"The oldest is of {minute(snapshots[0]['time'])}." if snapshots else "There is none at all."
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
    """When the moment is over, or the day or the minute, in this machine's time; None if it is none of them."""
    if "-" not in when:  # an id may have digits only
        return None
    span = next((each for pattern, each in SPANS.items() if re.fullmatch(pattern, when)), datetime.resolution)
    try:
        return (datetime.fromisoformat(when) + span).astimezone()
    except (ValueError, OverflowError):  # the last day of all has no end
        return None


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
    """What restic says at the end, with `missing`. A folder comes with what is in it, a file alone.

    Missing are paths in the kind of data, of what the repository has lost. Nothing half is left at them, and where any
    is, the others were not compared once more after they were written. Raises Trouble, UserError.
    """
    path = PurePosixPath(snapshot["paths"][0]) / inner
    if _is_folder(restic, snapshot, path):
        top, words = PurePosixPath(inner), [f"{snapshot['id']}:{path}"]
    else:
        top = PurePosixPath(inner).parent
        words = [f"{snapshot['id']}:{path.parent}", f"--include=/{escaped(path.name)}"]
    said = restic.ask("restore", UNLOCKED, *words, f"--target={folder}", "--verify", "--sparse", progress=progress)
    missing = _missing(restic, said, folder)
    for half in {path for each in missing for path in _named(folder, each)}:
        missing |= _removed(half, folder)
    summary = next((each for each in said if each.get("message_type") == "summary"), {})
    return {**summary, "missing": sorted(str(top / each.lstrip("/")) for each in missing)}


def _missing(restic: Restic, said: Sequence[Message], folder: Path) -> set[str]:
    """What the repository does not have any more. Raises Trouble where something else is the matter."""
    lost = errors_in(said)
    for each in lost:  # an error of this machine names the folder: no rights nor links are for a file that did not come
        is_own = str(folder) in error_in(each) and not error_in(each).endswith(GONE)
        if is_own or "item" not in each:
            reason = "room" if is_own and NO_SPACE in error_in(each) else "other"
            raise Trouble(restic.url, reason, short(error_in(each)))
    if lost:
        restic.identity()  # or else it is only away
    return {each["item"] for each in lost}


def _removed(half: Path, folder: Path) -> set[str]:
    """Other names of a file that came only in part. It is gone, as all its names are, and a folder without its list."""
    if not os.path.lexists(half):
        return set()
    inode = half.lstat()
    with _times_kept(half.parent):
        if stat.S_ISDIR(inode.st_mode):
            with contextlib.suppress(OSError):  # it is not empty
                half.rmdir()
            return set()
        half.unlink()
    return _linked(folder, inode.st_ino) if inode.st_nlink > 1 else set()


def _linked(folder: Path, inode: int) -> set[str]:
    """The names that a file had below the folder; by steps, since no system call takes a path of any length."""
    found = set()
    for above, _, names, handle in os.fwalk(folder):
        for name in names:
            if os.stat(name, dir_fd=handle, follow_symlinks=False).st_ino == inode:
                with _times_kept(handle):
                    os.unlink(name, dir_fd=handle)
                found.add("/" + _told(os.path.relpath(os.path.join(above, name), folder)))
    return found


@contextlib.contextmanager
def _times_kept(folder: Path | int) -> Iterator[None]:
    """What is removed from the folder inside the block does not show in its time, which is that of the original."""
    before = os.stat(folder)
    yield
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _named(folder: Path, item: str) -> list[Path]:
    """Where it is: in several places, perhaps, if its name has bytes that are no text, which are all alike in JSON."""
    found = [folder] if item != "/" else []
    for part in PurePosixPath(item).parts[1:]:
        names = ([part] if UNKNOWN not in part else os.listdir(above) for above in found)
        found = [above / name for above, those in zip(found, names, strict=True) for name in those
                 if _told(name) == _told(part)]  # fmt: skip
    return found


def _told(name: str) -> str:
    """The name as restic tells it, as far as that can be known."""
    return re.sub(f"{UNKNOWN}+", UNKNOWN, os.fsencode(name).decode(errors="replace"))


def _is_folder(restic: Restic, snapshot: Snapshot, path: PurePosixPath) -> bool:
    """True for a folder, False for a file. Raises UserError if neither is in the snapshot."""
    if str(path) == snapshot["paths"][0]:
        return True
    nodes = restic.stream("ls", UNLOCKED, snapshot["id"], str(path))
    # By its depth, because restic cannot write every name; it lists nothing beside what was asked for.
    found = [each for each in nodes if each.get("path", "").count("/") == str(path).count("/")]
    if not found:
        raise UserError(f"{path.name!a} is not in the snapshot of {minute(snapshot['time'])}. "
                        "Others: mlinfn backup list")  # fmt: skip
    return found[0]["type"] == "dir"


def dump(restic: Restic, snapshot: Snapshot, inner: str, to: Any) -> None:
    """What is in one file of a snapshot goes to an open file. Raises Trouble."""
    restic.write("dump", UNLOCKED, snapshot["id"], f"{snapshot['paths'][0]}/{inner}", to=to)


def as_data(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot for people and programs."""
    summary = snapshot.get("summary") or {}
    return {"id": snapshot["short_id"], "time": snapshot["time"], "kind": kind_of(snapshot),
            "instance": snapshot["hostname"], "files": summary.get("total_files_processed"),
            "bytes": summary.get("total_bytes_processed"), "added": summary.get("data_added_packed")}  # fmt: skip
