"""What is known of a target: when it was last well, what is in it, what is wrong. A file for each."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import files
from .planning import Taken
from .trouble import Trouble


@dataclass(frozen=True)
class State:
    """All times are text, with their zone."""

    url: str
    repository: str = ""
    """Its id, once it was seen."""
    adopted: str = ""
    """The last snapshot of another machine, in whose place this one has gone on."""
    begun: str = ""
    ended: str = ""
    good: str = ""
    """When the last run began that ended well, its check included."""
    duration_s: float = 0
    failures: int = 0
    """Runs that did not end well, ever."""
    reason: str = ""
    """Why the last run did not end well; empty if it did."""
    trouble: str = ""
    """The same in a sentence."""
    since: str = ""
    """Since when no run ended well, whatever came between; empty if the last one did."""
    size: int = 0
    """Bytes that the repository takes."""
    kinds: Mapping[str, Taken] = field(default_factory=dict)
    stale: str = ""
    """Why the hub's databases in it are those of before; empty if they are not."""
    exported: str = ""
    """When the hub copied the databases in it; of several, the oldest."""
    verified: str = ""
    """When a sample was last restored and compared."""
    verified_files: int = 0
    reread: str = ""
    """When its check last read what the target has, and not what restic's cache has of it."""
    tidied: str = ""
    """When what is not needed any more was last removed."""

    @property
    def newest_good(self) -> datetime | None:
        """The time of the newest snapshot that is known to be good."""
        return time_of(self.good)

    def begins(self, now: str) -> State:
        """The state when a run begins. One before that did not end was cut off, and did not end well either."""
        is_cut = bool(self.begun and not self.ended)
        since = self.since or (self.begun if is_cut else "")
        return replace(self, begun=now, ended="", failures=self.failures + is_cut, since=since)

    def failed(self, trouble: Trouble, now: str) -> State:
        """The state after a run that ended in trouble."""
        return replace(self, ended=now, failures=self.failures + 1, reason=trouble.reason,
                       trouble=str(trouble), since=self.since or now)  # fmt: skip


def time_of(text: str) -> datetime | None:
    """A time of a State; None for one that has not come."""
    return datetime.fromisoformat(text) if text else None


def name_of(url: str) -> str:
    """The name of a target's files; an address is none."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def load(folder: Path, url: str) -> State:
    """What is known of a target; nothing where the file is missing or not to be read."""
    try:
        data = json.loads((folder / f"{name_of(url)}.json").read_text())
        return _read(data)
    except (OSError, ValueError, TypeError, KeyError):
        return State(url)


def _read(data: Mapping[str, Any]) -> State:
    kinds = {kind: Taken(**_known(Taken, each)) for kind, each in data["kinds"].items()}
    return State(**{**_known(State, data), "kinds": kinds})


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a later version has written besides, before this one was taken again."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in data.items() if name in names}


def save(folder: Path, state: State) -> State:
    """The state, once it is on the disk."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.replace(folder / f"{name_of(state.url)}.json", json.dumps(asdict(state), indent=1) + "\n")
    return state


def machine(folder: Path) -> str:
    """What tells this machine from others that write to a target. It is made once, and is in no backup."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "machine"
    with files.locked(path):
        if not path.is_file():
            files.replace(path, secrets.token_hex(8) + "\n")
        return path.read_text().strip()


def alone(folder: Path, url: str) -> contextlib.AbstractContextManager[int]:
    """A lock on a target among our own processes, as an open file that children inherit. Raises Trouble, "busy".

    Who holds it knows that no other process of this instance that writes to the target, nor a restic that one of them
    has left behind, is alive.
    """
    return _held(folder / f"{name_of(url)}.lock", fcntl.LOCK_EX, url)


def reading(folder: Path, url: str) -> contextlib.AbstractContextManager[int]:
    """The same for any number who get files back: none of ours removes something from the target meanwhile."""
    return _held(folder / f"{name_of(url)}.read", fcntl.LOCK_SH, url)


def removing(folder: Path, url: str) -> contextlib.AbstractContextManager[int]:
    """The same for one who removes something from the target: nobody of ours gets files back meanwhile."""
    return _held(folder / f"{name_of(url)}.read", fcntl.LOCK_EX, url)


@contextlib.contextmanager
def _held(path: Path, how: int, url: str) -> Iterator[int]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(url, "busy") from None
        yield handle
    finally:
        os.close(handle)
