"""Putting back: a folder filled beside its place, and a whole machine's data, which are swapped when all is right.

What is restored lies in ROOT/.restoring until everything is there and compared. Then each folder of the root goes to
ROOT/.before-restore, and the restored one into its place. Whatever interrupts this before the swap leaves the root as
it was; an interrupted swap is finished by the next `mlinfn restore`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

from .. import files
from ..backup import exported
from ..backup.trouble import plain
from ..errors import OperatorError, UserError
from ..settings_backup import KINDS
from . import backup_service
from .site import CHECKOUT, Site

STAGING, BEFORE, COMPLETE = ".restoring", ".before-restore", "complete"
MISSING = "not-restored.txt"
"""Names what the target has lost: beside what was restored, then in the root."""
LOADED = CHECKOUT / "config/jupyterhub_config.d"
BOOK = "service/hub/export/identity.sqlite"
NAMED = 3
PLACES: Mapping[str, str] = {
    "homes": "users", "groups": "groups", "shared": "shared", "rooms": "rooms", "service/hub": "hub",
    "service/secrets": "secrets",
}  # fmt: skip
"""Where in the staging folder -> where in the root."""


@contextlib.contextmanager
def beside(to: Path) -> Iterator[Path]:
    """A folder beside `to` that takes its name at the end of the block, and is gone if that fails.

    Raises UserError if `to` is there, OperatorError if another restore fills the folder.
    """
    _refuse_there(to)
    partial = to.absolute().with_name(f".{to.name}.restoring")
    with alone(partial):
        try:
            _refuse_there(to)  # of another restore, which ended this moment
            yield partial
            partial.rename(to)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _refuse_there(to: Path) -> None:
    if to.exists():
        raise UserError(f"{to} is there already, and nothing that is there is written over. Take a new name.")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The folder is there, and no other command restores into it. Raises OperatorError if one does.

    The lock ends with the command, however that ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError(f"Another restore into {folder} goes on. Let it end first.") from None
        yield
    finally:
        os.close(handle)


def empty(folder: Path, *, but: str = "") -> None:
    """Nothing is in the folder any more, but what has this name. Notes go before what they say is whole."""
    for each in sorted(os.scandir(folder), key=lambda each: each.is_dir(follow_symlinks=False)):
        if each.is_dir(follow_symlinks=False):
            shutil.rmtree(each.path)
        elif each.name != but:
            os.unlink(each.path)


def key(site: Site, *, again: bool) -> str:
    """The key, if it was never shown before, or is asked for again; else empty. Raises OperatorError without one."""
    from ..backup.place import KEY

    folder = site.settings.root / "secrets" / backup_service.NAME
    if not (folder / KEY).is_file():
        raise OperatorError("There is no key yet. Make it with: sudo mlinfn prepare")
    if backup_service.key_was_shown(folder) and not again:
        return ""
    files.replace(folder / backup_service.SHOWN, backup_service.fingerprint(folder / KEY))
    return (folder / KEY).read_text().strip()


def staging(root: Path) -> Path:
    """The folder for what is restored. It may hold what an interrupted restore left."""
    folder = root / STAGING
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextlib.contextmanager
def given_up(root: Path) -> Iterator[None]:
    """After Ctrl-C or trouble in the block, nothing is left of what was restored: the next one begins anew anyway."""
    try:
        yield
    except (KeyboardInterrupt, OperatorError):
        shutil.rmtree(root / STAGING, ignore_errors=True)
        raise


def is_complete(root: Path) -> bool:
    """True if everything was restored, and perhaps not all of it is in its place."""
    return (root / STAGING / COMPLETE).exists()


def refuse_half_done(root: Path) -> None:
    """Nothing, unless a restore was interrupted while folders changed places. Raises OperatorError then."""
    if is_complete(root):
        raise OperatorError(f"A restore was interrupted while folders of {root} changed places. Let it end first: "
                            "mlinfn restore, with the same words as before.")  # fmt: skip


def moment(root: Path) -> str:
    """Which moment everything that was restored is of."""
    return (root / STAGING / COMPLETE).read_text()


def note(path: Path, of: str, missing: Sequence[str]) -> None:
    """Write down what did not come of the copies of a moment, a line for each, if anything did not."""
    if missing:
        files.replace(path, "\n".join([f"# Lost in {of}", *map(plain, missing)]) + "\n")


def noted(path: Path) -> list[str]:
    """What was written down there; of a folder, nothing came."""
    return path.read_text().splitlines()[1:] if path.is_file() else []


def came(root: Path, of: str) -> bool:
    """True if everything that is still in the copies of that moment was restored, and refused for what is not."""
    note = root / STAGING / MISSING
    return note.is_file() and note.read_text().startswith(f"# Lost in {of}\n")


def refuse_missing(missing: Sequence[str], where: str = "") -> None:
    """Nothing, if all came. Raises OperatorError, which says the word that takes what did come."""
    if missing:
        some, more = ", ".join(map(plain, missing[:NAMED])), len(missing) - NAMED
        others = f" and {more} more{where}" if more > 0 else ""
        raise OperatorError(f"The target has lost {some}{others}. Nothing was changed. To have what there is besides: "
                            "the same command with --partial. Another target or moment may have all.")  # fmt: skip


def complete(root: Path, moment: str, *, partial: bool = False) -> None:
    """What is in the staging folder is whole from now on, or all that there is. Raises OperatorError if it is not."""
    folder = root / STAGING
    lost = noted(folder / MISSING)
    if not partial:
        refuse_missing(lost, f" ({folder / MISSING})")
    if missing := [kind for kind in KINDS if not (folder / kind).is_dir()]:
        raise OperatorError(f"The backup has no {', '.join(missing)}, so it is no whole one. Nothing was changed.")
    hub = folder / "service/hub"
    databases = list((hub / exported.FOLDER).glob(exported.DATABASES))
    moved = list(hub.glob(exported.DATABASES))  # before an interruption; no copy has one there
    if not (databases or moved) or any(PurePosixPath(BOOK).is_relative_to(each) for each in lost):
        raise OperatorError("The backup has no copies of the hub's databases, so nobody would have their uid. Nothing "
                            "was changed. Name another moment with --when.")  # fmt: skip
    for copy in databases:
        copy.rename(hub / copy.name)
    if not lost:
        (root / MISSING).unlink(missing_ok=True)  # of an earlier restore
    os.sync()
    files.replace(folder / COMPLETE, moment)


def swap(root: Path, config: Path) -> Path | None:
    """Where what was there before lies now; None if nothing was. Going on after an interruption changes nothing."""
    folder, before = root / STAGING, root / BEFORE
    for name, place in PLACES.items():
        if (folder / name).is_dir():
            _exchange(folder / name, root / place, before)
    _settings(folder / "service/settings", config)
    if (folder / MISSING).exists():
        (folder / MISSING).replace(root / MISSING)
    empty(folder, but=COMPLETE)  # it goes last: without it, everything would be restored again
    shutil.rmtree(folder)
    return before if before.exists() else None


def _exchange(new: Path, place: Path, before: Path) -> None:
    if place.exists():
        before.mkdir(mode=0o700, exist_ok=True)
        place.rename(free(before / place.name))
    new.rename(place)


def free(path: Path) -> Path:
    """The path, or one with a number where something is there: of an earlier restore, or of an interrupted one."""
    names = chain([path], (path.with_name(f"{path.name}.{number}") for number in count(2)))
    return next(each for each in names if not os.path.lexists(each))


def _settings(folder: Path, config: Path) -> None:
    """mlinfn.yaml as it was; one that differs is kept beside it."""
    restored = folder / "mlinfn.yaml"
    if restored.is_file():
        text = restored.read_text()
        if config.is_file() and config.read_text() != text:
            config.replace(free(config.with_name(f"{config.name}.before-restore")))
        config.parent.mkdir(parents=True, exist_ok=True)
        files.replace_if_changed(config, text, mode=0o644)


def hatch(site: Site, root: Path, loaded: Path = LOADED) -> Path | None:
    """Where jupyterhub_config.d lies beside the settings, if it is not loaded; None if the hub loads it as it was.

    Any hub loads that of the checkout, which is put back with the checkout's own settings alone. What was there goes to
    what was before, whole: a file of another time would be loaded as well.
    """
    restored, before = root / STAGING / "service/settings" / LOADED.name, root / BEFORE
    if not restored.is_dir() or _texts(restored) == _texts(loaded):
        return None
    place = loaded if site.is_checkouts_own else site.config.absolute().with_name(f"{LOADED.name}.restored")
    if _texts(place) != _texts(restored):
        if os.path.lexists(place):
            before.mkdir(mode=0o700, exist_ok=True)
            shutil.move(place, free(before / place.name))  # from another disk, perhaps
        shutil.copytree(restored, place, symlinks=True)
    return None if place == loaded else place


def _texts(folder: Path) -> dict[Path, bytes]:
    """What a folder of configuration holds; its README is of the checkout, and changes with it."""
    found = (each for each in folder.rglob("*") if each.is_file() and each.name != "README.md")
    return {each.relative_to(folder): each.read_bytes() for each in found}


def refuse_running(instance: str, containers: Iterable[Mapping[str, Any]]) -> None:
    """Nothing, if neither services nor labs run. Raises OperatorError: they would write into what is swapped."""
    if running := [each["Name"].lstrip("/") for each in containers if each["State"]["Running"]]:
        raise OperatorError(f"{', '.join(running)} of {instance} would go on writing into what is swapped. First: "
                            "mlinfn down --labs")  # fmt: skip


def refuse_mounts(root: Path) -> None:
    """Nothing, if folders of the root can change their places. Raises OperatorError where one is a mount of its own."""
    if mounted := [place for place in PLACES.values() if os.path.ismount(root / place)]:
        raise OperatorError(f"{', '.join(str(root / each) for each in mounted)}: mounts of their own, which cannot be "
                            "swapped. Unmount them, restore, and copy what was restored onto them.")  # fmt: skip
