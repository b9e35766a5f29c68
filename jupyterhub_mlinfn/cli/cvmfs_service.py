"""CVMFS on the machine: who mounts the repositories, what has to be there before, and how it stands."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import cvmfs, files
from ..cvmfs import Mounted
from ..errors import OperatorError
from ..settings import CVMFS, Settings, bytes_of
from .finding import Finding

PROGRAMS = ("cvmfs2", "cvmfs_config")
"""A machine that has one of these has a client of its own."""
CLIENT, PROBE = "cvmfs", "cvmfs-probe"
"""The services, and the profiles that they are in."""
AUTOMOUNT = "sudo cvmfs_config setup && sudo systemctl restart autofs"
"""On a machine with a client of its own."""


@dataclass(frozen=True)
class Seen:
    """How CVMFS stands on a machine."""

    mounts: tuple[Mounted, ...] = ()
    states: Mapping[str, cvmfs.State] | str = ""
    """What the prober said, or why it did not."""
    is_ours: bool = False
    """A container of ours mounts them."""


def profiles(settings: Settings, before: str) -> tuple[str, ...]:
    """Compose's profiles that this machine needs. `before` are those of last time, separated by commas."""
    if not settings.cvmfs.repositories:
        return ()
    return needed(has_own_client(settings.cvmfs, cvmfs.read(), is_ours=CLIENT in before.split(",")))


def needed(has_own: bool) -> tuple[str, ...]:
    """The profiles on a machine that mounts the repositories itself, or not."""
    return (PROBE,) if has_own else (CLIENT, PROBE)


def has_own_client(wanted: CVMFS, mounts: Sequence[Mounted], *, is_ours: bool) -> bool:
    """True if somebody else mounts the repositories. `is_ours`: what is mounted now may be our own container's."""
    if wanted.client != "auto":
        return wanted.client == "host"
    is_auto = _is_automatic(wanted, mounts)
    is_mounted = any(each.kind.startswith("fuse") for each in cvmfs.below(mounts, str(wanted.folder)).values())
    return any(map(shutil.which, PROGRAMS)) or is_auto or (is_mounted and not is_ours)


def _is_automatic(wanted: CVMFS, mounts: Sequence[Mounted]) -> bool:
    """True if an automounter waits at the folder."""
    return any(each.kind == "autofs" and each.path == str(wanted.folder) for each in mounts)


def ground(settings: Settings, active: Sequence[str], fstab: Path) -> list[str]:
    """What the client container needs, made where it is missing: the folder, shared now and at boot, its settings."""
    if CLIENT not in active:
        return []
    home = settings.root / "cvmfs"
    for folder in (home, home / "cache"):
        folder.mkdir(mode=0o755, exist_ok=True)
    written = files.replace_if_changed(home / "default.local", client_settings(settings.cvmfs), mode=0o644)
    return [*(["Wrote the settings of the CVMFS client."] if written else []), *share(settings.cvmfs.folder, fstab)]


def client_settings(wanted: CVMFS) -> str:
    """The client's default.local. Quoted, because a shell reads it."""
    values = {"REPOSITORIES": ",".join(wanted.repositories), "HTTP_PROXY": wanted.proxy,
              "QUOTA_LIMIT": str(bytes_of(wanted.cache) // bytes_of("1M"))}  # fmt: skip
    return "".join(f"CVMFS_{name}='{value}'\n" for name, value in values.items())


def share(folder: Path, fstab: Path) -> list[str]:
    """The folder is there, and what is mounted below it appears in labs; where / is shared (systemd), as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if cvmfs.carrier(cvmfs.read(), str(folder)).is_shared:
        return []
    where = str(folder).replace(" ", "\\040")
    line = f"{where} {where} none bind,shared 0 0"
    lines = fstab.read_text().splitlines() if fstab.exists() else []
    done = []
    if line not in lines:
        files.replace(fstab, "\n".join([*lines, line]) + "\n", mode=0o644)
        done.append(f"Added {folder} to {fstab}.")
    _mount("--bind", str(folder), str(folder))
    _mount("--make-shared", str(folder))
    return [*done, f"Made {folder} a shared mount."]


def _mount(*words: str) -> None:
    mounted = subprocess.run(["mount", *words], capture_output=True, text=True)
    if mounted.returncode:
        raise OperatorError(f"`mount {' '.join(words)}` failed: {mounted.stderr.strip()}. Labs would not see CVMFS.")


def answers(settings: Settings, seen: Seen) -> Finding | None:
    """Whether labs have the repositories and these answer; nothing where the site has none."""
    names = settings.cvmfs.repositories
    if not names:
        return None
    title, labs = "CVMFS", shared(settings, seen)
    if labs.level == "red":
        return Finding("amber", title, labs.reason, labs.remedy)
    if isinstance(seen.states, str):
        return Finding("amber", title, f"Nobody says which repositories answer: {seen.states}",
                       f"mlinfn up; mlinfn logs {PROBE}")
    if trouble := [f"{each}{_since(seen.states[each.split()[0]].since)}" for each in cvmfs.trouble(seen.states, names)]:
        return Finding("amber", title, f"{'; '.join(trouble)}. Labs start and stop all the same.",
                       _remedy(settings, seen))
    well = [name for name in names if name in seen.states and seen.states[name].state == "ok"]
    return Finding("green", title, f"{', '.join(well) or 'None yet'} of {len(names)} answer.")


def _since(epoch_s: float) -> str:
    return f" (since {time.strftime('%Y-%m-%d %H:%M', time.localtime(epoch_s))})"


def _remedy(settings: Settings, seen: Seen) -> str:
    restart = f"docker restart {settings.instance}-{CLIENT}"
    return restart if seen.is_ours else "sudo cvmfs_config probe; sudo cvmfs_config reload"


def shared(settings: Settings, seen: Seen) -> Finding | None:
    """Whether what is mounted later appears in labs; nothing where the site has no repositories."""
    if not settings.cvmfs.repositories:
        return None
    title, folder = "CVMFS in labs", settings.cvmfs.folder
    if not cvmfs.carrier(seen.mounts, str(folder)).is_shared:
        mend = f"sudo mount --bind {folder} {folder} && sudo mount --make-shared {folder}"
        return Finding("red", title, f"{folder} is not on a shared mount, so labs have no /cvmfs.",
                       f"sudo mlinfn prepare, or: {mend}")
    return Finding("green", title, f"What is mounted in {folder} appears in running labs.")


def flags(settings: Settings, seen: Seen) -> Finding | None:
    """Whether each mounted repository is read-only: that comes from its client, and nothing else makes it so."""
    names = settings.cvmfs.repositories
    if not names:
        return None
    title, mounted = "CVMFS read-only", cvmfs.below(seen.mounts, str(settings.cvmfs.folder))
    if writable := [name for name in names if name in mounted and not mounted[name].read_only]:
        return Finding("red", title, f"{', '.join(writable)}: mounted so that labs could write.",
                       "mount them with the option `ro`")
    missing = [name for name in names if name not in mounted]
    if missing and not _is_automatic(settings.cvmfs, seen.mounts):
        return Finding("amber", title, f"Not mounted now: {', '.join(missing)}. No automounter is on "
                       f"{settings.cvmfs.folder}, which would do it.", "mlinfn up" if seen.is_ours else AUTOMOUNT)
    if missing:
        return Finding("green", title, f"The automounter mounts {', '.join(missing)} on first use.")
    return Finding("green", title, "All are mounted read-only.")
