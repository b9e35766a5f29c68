"""Folders of this machine that are targets: which are there, and which may be made.

The folder of a disk that is not mounted looks like any other. Copies in it would fill the disk below, and hide when the
disk comes back. One of a network share whose server is down holds up whoever touches it, for as long as it is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..backup.state import load
from ..cvmfs.mounts import Mounted
from ..files import unescaped
from ..settings import Settings
from ..settings_backup import is_folder
from .asking import LATE, Said, at_once, said

SILENT = "it is not answering"


def looked_at(folders: Iterable[str]) -> dict[str, Said]:
    """Whether each is there; LATE for one that does not answer. Programs are asked, which can be left behind."""
    return at_once({folder: lambda folder=folder: said("test", "-d", folder) for folder in folders})


def away(settings: Settings, fstab: str, table: Sequence[Mounted]) -> dict[str, str]:
    """Target -> why nothing is copied into it, for the folders that are not as they must be."""
    folders = [each for each in settings.backup.targets if is_folder(each)]
    known = {each for each in folders if load(settings.root / "backup", each).repository}
    seen = looked_at(folders)
    reasons = {each: _reason(each, seen[each], each in known, fstab, table) for each in folders}
    return {folder: reason for folder, reason in reasons.items() if reason}


def _reason(folder: str, seen: Said, is_known: bool, fstab: str, table: Sequence[Mounted]) -> str:
    """Empty if the folder is there, or may be made; its parents never are."""
    if disk := next(_unmounted(folder, fstab, table), ""):
        return f"{disk} of /etc/fstab is not mounted"
    if seen.code == LATE:
        return SILENT
    if seen.is_well:
        return ""
    if is_known:
        return "it is not there any more, and has copies"
    return "" if Path(folder).parent.is_dir() else f"{Path(folder).parent} is not there"


def _unmounted(folder: str, fstab: str, table: Sequence[Mounted]) -> Iterator[str]:
    """Where the folder lies on a disk that should be mounted, and is not."""
    mounted = {each.path for each in table}
    for fields in (line.split() for line in fstab.splitlines() if not line.lstrip().startswith("#")):
        place = unescaped(fields[1]).rstrip("/") if len(fields) > 1 else ""
        if place and Path(folder).is_relative_to(place) and place not in mounted:
            yield place
