"""Giving a member files back: what may be asked for, the container that does it, and what it says. Touches nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .container import LABELS, ContainerPlan
from .errors import UserError
from .gpus import SERVICE
from .identity import Person
from .settings import bytes_of
from .unpacking import CUT, DAMAGED, FULL, PLACE, RESTORED, shown
from .volumes import Mount

SCOPE = "custom:mlinfn:restore"
NAME = "restore"
"""What the label says that these containers are."""
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}\.[0-9]{2}")
SIZE = re.compile(r"[0-9]{1,18}")
LONGEST_PATH, LONGEST_NAME = 4096, 255
"""Bytes, as Linux takes them."""
PROGRAM = ("python3", "-I", "-m", "jupyterhub_mlinfn.unpacking")
"""Isolated: nothing that lies in a home is a module of it."""
MEMORY = "512M"
"""Of this, GNU tar needs most: it remembers every folder until its end."""
TROUBLES: Mapping[str, str] = {
    CUT: "What was to be restored did not arrive as a whole, so nothing of it is in your home. Try again.",
    DAMAGED: "What was to be restored is no whole tar archive, so nothing of it is in your home. Tell the keeper.",
    FULL: "The disk of the homes is full, so not everything is restored. Restore less, or tell the keeper.",
    PLACE: "Nothing can be restored into {about} in your home: something else is there, or it is closed to you. Rename "
           "it, and try again.",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the moment that the files are of, where they go, and how many bytes they have, if known."""

    date: str
    into: str
    size: int | None = None

    @property
    def place(self) -> str:
        """Path below `restored` in the home."""
        return f"{self.date}/{self.into}"

    @property
    def folder(self) -> str:
        """Path in the home."""
        return f"{RESTORED}/{self.place}"


def parse(query: Mapping[str, Sequence[bytes]]) -> Wanted:
    """What a query asks for: `{"date": [b"2026-11-24T03.00"], "into": [b"home/analysis"], "bytes": [b"4096"]}`.

    Raises UserError (reason "words").
    """
    date, into, size = (os.fsdecode((query.get(key) or [b""])[-1]) for key in ("date", "into", "bytes"))
    if not DATE.fullmatch(date):
        raise _bad(f"`date` is when the files were copied, such as 2026-11-24T03.00, and not {shown(date)!r}.")
    if not _is_place(into):
        raise _bad("`into` is a path such as home/analysis, without a slash in front, `.` and `..`, of at most "
                   f"{LONGEST_PATH} bytes, and not {shown(into)!r}.")  # fmt: skip
    if size and not SIZE.fullmatch(size):
        raise _bad(f"`bytes` is a number, and not {shown(size)!r}.")
    return Wanted(date, into, int(size) if size else None)


def _is_place(path: str) -> bool:
    names = path.split("/")
    fits = len(os.fsencode(path)) <= LONGEST_PATH and all(len(os.fsencode(name)) <= LONGEST_NAME for name in names)
    return fits and "\0" not in path and not {"", ".", ".."} & set(names)


def _bad(message: str) -> UserError:
    return UserError(f"This cannot be restored. {message}", reason="words")


def check_space(wanted: Wanted, free: int) -> None:
    """Nothing if so many free bytes are enough, as far as one knows. Raises UserError (reason "full")."""
    if wanted.size is not None and wanted.size > free:
        raise UserError(f"{_size(wanted.size)} are to be restored, and the disk of the homes has {_size(free)} left. "
                        "Restore a smaller folder, or tell the keeper.", reason=FULL)  # fmt: skip


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def name_of(instance: str, person: Person) -> str:
    """The name of the container that restores for this person: there is one at most.

    No instance and no member has an underscore, so it is no other container's.
    """
    return f"{instance}-restored_{person.safe_name}"


def is_one(container: Mapping[str, Any]) -> bool:
    """True if the container in the Engine's list is one that restores, of whichever instance.

    Its name has to agree with its label, as with labs: an image may have been made of one.
    """
    is_called = any("-restored_" in name for name in container.get("Names") or ())
    return is_called and (container.get("Labels") or {}).get(SERVICE) == NAME


def plan(instance: str, image: str, person: Person, home: Mount, wanted: Wanted) -> ContainerPlan:
    """The container: the member's uid, their home, no rights, no network, and an end when its input has one."""
    create = {
        "name": name_of(instance, person),
        "image": image,
        "command": [*PROGRAM, person.home, quote(os.fsencode(wanted.place))],
        "user": f"{person.uid}:{person.uid}",
        "working_dir": "/",
        "environment": {"LC_ALL": "C.UTF-8"},  # GNU tar's words are read
        "labels": {f"{LABELS}instance": instance, SERVICE: NAME},
        "stdin_open": True,
    }
    host = {
        "mounts": [home.as_docker()],
        "network_mode": "none",
        "read_only": True,
        "privileged": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": bytes_of(MEMORY),
        "memswap_limit": bytes_of(MEMORY),
        "pids_limit": 32,
        "cpu_period": 100_000,
        "cpu_quota": 100_000,
        "oom_score_adj": 800,  # before any lab: who asks again gets the rest
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "auto_remove": True,  # also where the hub that made it is gone
    }
    return ContainerPlan(create, host)


def answer(said: bytes, folder: str) -> dict[str, Any] | None:
    """What the member is told, by what the container said; None if it did not come to say anything.

    `{"folder": "restored/2026-11-24T03.00/home", "files": 12, "kept": 2, "kept_names": [...], "failed": 0,
    "failed_names": []}`. Raises UserError with one of TROUBLES, and its word as reason.
    """
    try:
        report = json.loads(said)
        if trouble := TROUBLES.get(report.get("trouble")):
            raise UserError(trouble.format(about=report["about"]), reason=report["trouble"])
        counts = {key: int(report[key]) for key in ("files", "kept", "failed")}
        names = {key: [str(name) for name in report[key]] for key in ("kept_names", "failed_names")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {"folder": os.fsencode(folder).decode(errors="backslashreplace"), **counts, **names}
