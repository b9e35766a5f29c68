"""Makes the folders of people and groups on the host, with their owners and rights, before a lab starts.

Everything is done through descriptors of folders and without following links, so that nothing planted there is touched.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import OperatorError, UserError
from .identity import Person

DISK = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "a quota of the disk is used up",
    errno.EROFS: "the disk can only be read at present",
}  # fmt: skip
GROUP_MODE = 0o2770
# The default ACL u::rwx,g::rwx,o::--- as Linux keeps it in an attribute (linux/posix_acl_xattr.h): a version, then for
# each entry its kind, rights and an id, which these have not.
GROUP_EDITS = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", kind, rights, 0xFFFFFFFF) for kind, rights in ((0x01, 7), (0x04, 7), (0x20, 0)))  # fmt: skip
log = logging.getLogger("jupyterhub.mlinfn.folders")


@dataclass(frozen=True)
class Folder:
    """One folder: which, whose it is, and its rights when it is new. With `for_group`, also those of what is in it."""

    path: Path
    uid: int
    gid: int
    mode: int
    for_group: bool = False


def of_person(root: Path, person: Person) -> tuple[Folder, ...]:
    """What has to be there for a lab of this member. Homes are theirs alone; others may read what they share."""
    return (
        Folder(root / "users" / person.safe_name, person.uid, person.uid, 0o700),
        Folder(root / "shared" / person.safe_name, person.uid, person.uid, 0o755),
        *_of_groups(root, person),
    )


def of_room(root: Path, person: Person) -> tuple[Folder, ...]:
    """What has to be there for the lab of a room, which its account alone opens."""
    return (Folder(root / person.home.lstrip("/"), person.uid, person.uid, 0o700), *_of_groups(root, person))


def _of_groups(root: Path, person: Person) -> Iterator[Folder]:
    for each in person.groups:
        yield Folder(root / "groups" / each.safe_name, 0, each.gid, GROUP_MODE, for_group=True)


def make(folder: Folder) -> None:
    """The folder is there and belongs to whom it should.

    Raises OperatorError if it belongs to somebody else, and UserError (reason "disk") if the disk takes nothing.
    """
    try:
        with _opened(folder.path.parent) as parent, _made(folder, parent) as opened:
            _give_away(folder, opened)
    except OSError as error:
        if error.errno in DISK:
            raise UserError(f"A folder that your lab needs cannot be made: {DISK[error.errno]}. Tell the keeper.",
                            reason="disk") from error  # fmt: skip
        raise OperatorError(f"The folder {folder.path} cannot be made: {error.strerror}. Run `mlinfn up`.") from error


@contextlib.contextmanager
def _opened(path: Path | str, parent: int | None = None, flags: int = 0) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | flags, dir_fd=parent)
    try:
        yield opened
    finally:
        os.close(opened)


@contextlib.contextmanager
def _made(folder: Folder, parent: int) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder.path.name, 0o700, dir_fd=parent)
    with _opened(folder.path.name, parent, os.O_NOFOLLOW) as opened:
        yield opened


def _give_away(folder: Folder, opened: int) -> None:
    """Ownership comes last, so that a start that is cut off before it is made good by the next one."""
    now = os.fstat(opened)
    if (now.st_uid, now.st_gid) == (folder.uid, folder.gid):
        return
    # Root's means: made by us just now, or by a start that was cut off.
    if now.st_uid != os.geteuid() or os.listdir(opened):
        raise OperatorError(f"The folder {folder.path} belongs to uid {now.st_uid} and gid {now.st_gid} instead of "
                            f"{folder.uid} and {folder.gid}. Look whose it is before you change that.")  # fmt: skip
    if folder.for_group:
        let_group_edit(opened, folder.path)
    os.fchmod(opened, folder.mode)
    os.fchown(opened, folder.uid, folder.gid)


def let_group_edit(opened: int, path: Path | str) -> None:
    """What one member makes in it, the others of the group can edit, whatever that member's umask."""
    try:
        os.setxattr(opened, "system.posix_acl_default", GROUP_EDITS)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        log.warning("The disk of %s keeps no ACLs: what a member makes there, others of the group edit only if their "
                    "umask lets them.", path)  # fmt: skip


def link(home: Folder, links: Mapping[str, str]) -> None:
    """Each name in the home leads where it should, unless something of the member's has that name.

    A disk that takes nothing more is no reason to keep a member out of their files.
    """
    with contextlib.suppress(OSError), _opened(home.path, flags=os.O_NOFOLLOW) as opened:
        for name, target in links.items():
            with contextlib.suppress(FileExistsError):
                os.symlink(target, name, dir_fd=opened)
                os.chown(name, home.uid, home.gid, dir_fd=opened, follow_symlinks=False)
