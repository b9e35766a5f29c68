"""After a lab in which its member was root: what root wrote in their folders is theirs again, and nothing is set-uid.

A program of its own, so that a home with a million files keeps the hub from nothing:
`python3 -m jupyterhub_mlinfn.reclaim BOOK` does what the book says (see Claim) and then removes it. The book is written
before such a lab starts and outlives the hub, so that nothing is forgotten if that is killed.

The member, and others of their groups, may change the folders meanwhile. Whatever is changed is held by a descriptor
that was opened without following links, so a name that is swapped for a link leads nowhere else.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from . import files, folders
from .identity import Person

DEEPEST = 200
"""Folders within folders; what is deeper stays as it is. Each costs a descriptor."""
NICE = 10


@dataclass(frozen=True)
class Claim:
    """One folder: what in it belongs to no member becomes `uid`'s, what belongs to no group becomes `gid`'s.

    `first` and `last` bound the numbers of members and groups. Files of other members stay theirs where `is_shared`.
    """

    folder: str
    uid: int
    gid: int
    first: int
    last: int
    is_shared: bool = False

    def owner(self, uid: int, gid: int) -> tuple[int, int]:
        """Uid and gid that something with these should have."""
        is_theirs = uid == self.uid or (self.is_shared and self._is_known(uid))
        return (uid if is_theirs else self.uid), (gid if self._is_known(gid) else self.gid)

    def _is_known(self, number: int) -> bool:
        return self.first <= number <= self.last


def claims(root: Path, person: Person, numbers: tuple[int, int]) -> tuple[Claim, ...]:
    """What a lab of this person can write to. `numbers`: the lowest and the highest that people or groups have."""
    name, uid = person.safe_name, person.uid
    own = [Claim(f"{root}/{place}/{name}", uid, uid, *numbers) for place in ("users", "shared")]
    groups = [Claim(f"{root}/groups/{group.safe_name}", uid, group.gid, *numbers, is_shared=True)
              for group in person.groups]  # fmt: skip
    return (*own, *groups)


def book_of(root: Path, safe_name: str) -> Path:
    """Where the claims of this person's lab are kept until they are settled."""
    return root / "hub" / "reclaim" / f"{safe_name}.json"


def write(book: Path, wanted: tuple[Claim, ...]) -> None:
    """From now on the book says what has to be settled after the lab; what it said before still counts."""
    book.parent.mkdir(mode=0o700, exist_ok=True)
    both = {claim.folder: claim for claim in (*read(book), *wanted)}
    files.replace_if_changed(book, json.dumps([asdict(claim) for claim in both.values()]))


def read(book: Path) -> tuple[Claim, ...]:
    """What the book says; nothing if there is none."""
    return tuple(Claim(**said) for said in json.loads(book.read_text())) if book.exists() else ()


def settle(claim: Claim) -> int:
    """How many files were changed; the folder itself is as it was made. Other file systems in it are left alone."""
    with suppress(FileNotFoundError), _opened(claim.folder, os.O_RDONLY | os.O_DIRECTORY) as folder:
        _restore(folder, claim)
        return _settle_in(folder, os.fstat(folder).st_dev, claim, DEEPEST)
    return 0


def _restore(folder: int, claim: Claim) -> None:
    """A group's folder is root's, with the rights of folders.of_person; others belong to their member."""
    owner, state = (0 if claim.is_shared else claim.uid, claim.gid), os.fstat(folder)
    if owner != (state.st_uid, state.st_gid):
        os.fchown(folder, *owner)
    if claim.is_shared:
        folders.let_group_edit(folder, claim.folder)
        os.fchmod(folder, folders.GROUP_MODE)


def _settle_in(folder: int, device: int, claim: Claim, depth: int) -> int:
    changed = 0
    for name in os.listdir(folder):
        with suppress(OSError), _opened(name, os.O_PATH, folder) as entry:  # gone, or swapped, meanwhile
            changed += _mend(entry, claim)
            state = os.fstat(entry)
            if stat.S_ISDIR(state.st_mode) and state.st_dev == device and depth:
                changed += _settle_below(entry, device, claim, depth)
    return changed


def _settle_below(entry: int, device: int, claim: Claim, depth: int) -> int:
    with _opened(".", os.O_RDONLY | os.O_DIRECTORY, entry) as folder:
        return _settle_in(folder, device, claim, depth - 1)


def _mend(entry: int, claim: Claim) -> bool:
    """True if the entry had another owner than it should, or was set-uid."""
    state, place = os.fstat(entry), f"/proc/self/fd/{entry}"  # the entry itself, even if it is a link
    wanted = claim.owner(state.st_uid, state.st_gid)
    is_strange = wanted != (state.st_uid, state.st_gid)
    if is_strange:
        os.chown(place, *wanted)
    is_set = stat.S_ISREG(state.st_mode) and state.st_mode & (stat.S_ISUID | stat.S_ISGID)
    if is_set:
        os.chmod(place, stat.S_IMODE(state.st_mode) & 0o1777)
    return bool(is_strange or is_set)


@contextmanager
def _opened(name: str, flags: int, parent: int | None = None) -> Iterator[int]:
    opened = os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield opened
    finally:
        os.close(opened)


def main() -> None:
    """Nothing, once what the book says is settled and it is gone."""
    os.nice(NICE)
    book = Path(sys.argv[1])
    for claim in read(book):
        print(f"{claim.folder}: {settle(claim)} files are their member's again", flush=True)
    book.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
