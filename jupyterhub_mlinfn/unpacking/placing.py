"""What was unpacked goes to its place, never over something. By descriptors of folders, so that no link is followed."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence

from . import NO_SPACE, PLACE, RESTORED, Names, Trouble, shown

TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})
PLACED, INSIDE, KEPT, FAILED = "placed", "inside", "kept", "failed"
Modes = Sequence[tuple[int, str]]
"""Modes of folders, and their paths."""


def place(partial: str, where: str) -> tuple[int, Names, Names]:
    """How many files are in their place, which were there already and stay, and which could not be put there.

    Raises Trouble if something is in the way of the whole.
    """
    closed, count = opened_up(partial), _count(partial)
    _plain(partial)
    subprocess.run(["sync", "--file-system", partial], check=True)  # a place has only what outlives a power cut
    *above, name = where.split("/")
    with opened(partial) as source, _way(above) as parent:
        if _is_moved(partial, name, parent, where):
            _close(closed, source)
            return count, Names(), Names()
        with made(name, parent, f"{RESTORED}/{where}") as target:
            kept, failed = _merge(source, target)
            _close([(mode, path) for mode, path in closed if not _is_there(path, source)], target)
    return count - kept.count - failed.count, kept, failed


def opened_up(folder: str) -> Modes:
    """Those that their owner could not look into or move, each before what is in it. Now their owner can."""
    found = subprocess.run(["find", folder, "-type", "d", "!", "-perm", "-u=rwx", "-printf", "%m %P\\0", "-execdir",
                            "chmod", "u+rwx", "{}", ";"], stdout=subprocess.PIPE, check=True)  # fmt: skip
    entries = (os.fsdecode(each).split(" ", 1) for each in found.stdout.split(b"\0") if each)
    return [(int(mode, 8) & 0o777, path or ".") for mode, path in entries]


def _plain(folder: str) -> None:
    """Nothing in it is set-uid, set-gid or sticky: it may have been somebody else's."""
    subprocess.run(["find", folder, "!", "-type", "l", "-perm", "/7000", "-execdir", "chmod", "ug-s,a-t", "{}", "+"],
                   check=True)  # fmt: skip


def _count(folder: str) -> int:
    files = ["find", folder, "!", "-type", "d", "-printf", "."]
    return len(subprocess.run(files, stdout=subprocess.PIPE, check=True).stdout)


def _is_moved(partial: str, name: str, parent: int, where: str) -> bool:
    """True unless something is there; an empty folder counts as nothing."""
    try:
        os.rename(partial, name, dst_dir_fd=parent)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise _trouble(error, f"{RESTORED}/{where}") from error
    return True


def _merge(source: int, target: int) -> tuple[Names, Names]:
    """What was there already and stays, below a file that has a folder's name too; and what could not be put there."""
    names = {KEPT: Names(), FAILED: Names()}
    ahead = [(".", "")]
    while ahead:
        path, fate = ahead.pop()
        for below, is_folder in _entries(path, source):
            became = fate or _put(below, is_folder, source, target)
            if is_folder and became != PLACED:
                ahead.append((below, "" if became == INSIDE else became))
            elif became != PLACED:
                names[became].add(below.removeprefix("./"))
    return names[KEPT], names[FAILED]


def _put(path: str, is_folder: bool, source: int, target: int) -> str:
    """What became of one file, or of a folder with all that is in it."""
    move = os.rename if is_folder else functools.partial(os.link, follow_symlinks=False)  # neither replaces a file
    try:
        move(path, path, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        if error.errno not in TAKEN:
            return FAILED
        return INSIDE if is_folder and _is_there(path, target, stat.S_ISDIR) else KEPT
    return PLACED


def _entries(path: str, parent: int) -> list[tuple[str, bool]]:
    """Paths of what is in a folder, and whether each is a folder."""
    with opened(path, parent) as folder, os.scandir(folder) as entries:
        return [(f"{path}/{entry.name}", entry.is_dir(follow_symlinks=False)) for entry in entries]


def _is_there(path: str, parent: int, is_such=bool) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return is_such(os.stat(path, dir_fd=parent, follow_symlinks=False).st_mode)
    return False


def _close(closed: Modes, parent: int) -> None:
    """Folders have their own modes again; the innermost first, since nobody comes past the others then."""
    for mode, path in reversed(closed):
        with opened(path, parent) as folder:
            os.fchmod(folder, mode)


@contextlib.contextmanager
def opened(path: str, parent: int | None = None) -> Iterator[int]:
    """The open folder, which is no link."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def made(name: str, parent: int, path: str) -> Iterator[int]:
    """The open folder, made if nothing is there. Raises Trouble about `path` if a link is, or a file."""
    with contextlib.ExitStack() as stack:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            folder = stack.enter_context(opened(name, parent))
        except OSError as error:
            raise _trouble(error, path) from error
        yield folder


def _trouble(error: OSError, path: str) -> Exception:
    return error if error.errno in NO_SPACE else Trouble(PLACE, shown(path))


@contextlib.contextmanager
def _way(names: Sequence[str]) -> Iterator[int]:
    """The open folder at the end of these, each of which is made if nothing is there. Raises Trouble."""
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for position, name in enumerate(names, 1):
            with made(name, here, "/".join((RESTORED, *names[:position]))) as below:
                os.dup2(below, here, inheritable=False)
        yield here
    finally:
        os.close(here)
