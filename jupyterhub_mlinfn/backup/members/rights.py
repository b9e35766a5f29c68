"""Who could read a file where it lay: mode bits and ACLs, by the rules of Linux (acl(5)). Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

READ, ENTER = 4, 1
OWNER, NAMED_OWNER, GROUP, NAMED_GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
KINDS = {("user", False): OWNER, ("user", True): NAMED_OWNER, ("group", False): GROUP, ("group", True): NAMED_GROUP,
         ("mask", False): MASK, ("other", False): OTHERS}  # fmt: skip
LINE = re.compile(r"(user|group|mask|other):(\d*):([r-])([w-])([x-])")
Entry = tuple[int, int, int]
"""Kind, id, and what it allows."""
NOBODY: tuple[Entry, ...] = ()
"""An ACL that could not be understood: it lets nobody in."""


@dataclass(frozen=True)
class Reader:
    """Who would read. Without a uid they own nothing."""

    uid: int | None
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Rights:
    """Those of one file or folder. `acl` is None where it has none, or none that says more than `mode`."""

    uid: int
    gid: int
    mode: int
    acl: tuple[Entry, ...] | None = None

    def allow(self, reader: Reader, wanted: int) -> bool:
        """Whether the reader has all rights that are wanted."""
        return any(wanted & ~allowed == 0 for allowed in self._of(reader))

    def _of(self, reader: Reader) -> list[int]:
        """What the entry allows that counts for the reader; several where several groups do."""
        entries = self._plain if self.acl is None else self.acl
        mask = next((allowed for kind, _, allowed in entries if kind == MASK), 7)
        if reader.uid == self.uid:
            return [allowed for kind, _, allowed in entries if kind == OWNER]
        if named := [allowed & mask for kind, id_, allowed in entries if (kind, id_) == (NAMED_OWNER, reader.uid)]:
            return named
        ids = {GROUP: self.gid}
        groups = [allowed & mask for kind, id_, allowed in entries
                  if kind in (GROUP, NAMED_GROUP) and ids.get(kind, id_) in reader.gids]  # fmt: skip
        return groups or [allowed for kind, _, allowed in entries if kind == OTHERS]

    @property
    def _plain(self) -> tuple[Entry, ...]:
        return (OWNER, 0, self.mode >> 6 & 7), (GROUP, 0, self.mode >> 3 & 7), (OTHERS, 0, self.mode & 7)


def acl_of_attribute(value: bytes) -> tuple[Entry, ...]:
    """An ACL as the kernel keeps it in `system.posix_acl_access`: a version, then kind, rights and id of each entry."""
    if len(value) % 8 != 4 or value[:4] != b"\x02\0\0\0":
        return NOBODY
    return tuple((kind, id_, allowed) for kind, allowed, id_ in struct.iter_unpack("<HHI", value[4:]))


def acl_of_text(text: str) -> tuple[Entry, ...]:
    """The same as tar has it in `SCHILY.acl.access`: user::rw-, user:71002:r--, a line or a comma apart."""
    found = [LINE.fullmatch(each) for each in re.split(r"[\n,]", text) if each]
    return tuple(_entries(found)) if all(found) else NOBODY


def _entries(found: list[re.Match]) -> Iterator[Entry]:
    for match in found:
        kind = KINDS.get((match[1], match[2] != ""), 0)
        yield kind, int(match[2] or 0), sum(bit for bit, sign in zip((4, 2, 1), match.groups()[2:], strict=True)
                                            if sign != "-")  # fmt: skip


class Walk:
    """A walk through a folder, each thing met before what is in it: which of them could the reader have copied?"""

    def __init__(self, reader: Reader | None):
        self.reader = reader
        self._open = [""]

    def lets(self, path: str, is_folder: bool, rights: Rights | None) -> bool:
        """Whether this could be read, and every folder on the way to it. `rights` is None for links, which all can."""
        if self.reader is None:
            return True
        above, _, _ = path.rpartition("/")
        while self._open[-1] and not f"{above}/".startswith(f"{self._open[-1]}/"):
            self._open.pop()
        if self._open[-1] != above:
            return False
        if rights is not None and not rights.allow(self.reader, READ | ENTER if is_folder else READ):
            return False
        if is_folder:
            self._open.append(path)
        return True
