"""restic's tar as a stream, without what the reader could not have read; or one around a single file.

Members of the archive pass as they are, byte by byte, with the records that stand before them. All that is not
understood ends the stream, as does an archive that is cut off: then the last piece never comes.
"""

from __future__ import annotations

import os
import select
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from ..planning import nanoseconds
from ..restic import Restic, messages_in
from ..restoring import UNLOCKED
from ..trouble import Trouble
from .copies import Copy
from .rights import Rights, Walk, acl_of_text
from .stopping import Stop
from .trees import LINK, Node

BLOCK, PIECE = 512, 2**18
LARGEST_RECORDS = 2**22
"""Of one file: its name, ACL and other attributes."""
FIRST_S, NEXT_S = 120, 50
"""How long a target may take until the first byte, and between two; the hub waits 60 s for more."""
COUNTS_S = 1800
"""How long it may take to tell how much there is."""
RECORDS, FILES, FOLDER, LINKS = b"x", (b"0", b"\0"), b"5", b"2"
END = bytes(2 * BLOCK)
SPEAKS_S = 10
REMARK = tarfile.TarInfo.create_pax_global_header({"comment": "more follows"})
"""Says nothing, so that whoever waits for the next file knows that we still work."""
Passed = Callable[[int, int], None]
"""Told of files, and of bytes in them, that were handed on."""


class Cut(Trouble):
    """A program stopped in the middle of what it printed."""


class Pipe:
    """What a program prints, in pieces of the size that one wants. Raises Trouble if it stops before."""

    def __init__(self, url: str, source: IO[bytes]):
        self.url, self.source, self._patience_s = url, source, FIRST_S
        self._buffer = bytearray()

    def take(self, count: int) -> bytes:
        """So many bytes, not fewer."""
        while len(self._buffer) < count:
            if not (piece := self._more()):
                raise Cut(self.url, "other", "it ended in the middle of a file")
            self._buffer += piece
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def pieces(self, count: int) -> Iterator[bytes]:
        """The same in pieces that are not large."""
        while count:
            piece = self.take(min(count, PIECE))
            count -= len(piece)
            yield piece

    def rest(self) -> int:
        """The number of bytes until its end."""
        count = len(self._buffer)
        while piece := self._more():
            count += len(piece)
        return count

    def _more(self) -> bytes:
        if not select.select([self.source], [], [], self._patience_s)[0]:
            raise Trouble(self.url, "away", "it sends nothing any more")
        self._patience_s = NEXT_S
        return os.read(self.source.fileno(), PIECE)


@dataclass(frozen=True)
class Entry:
    """One member of the archive: the head of its data."""

    path: str
    kind: bytes
    size: int
    rights: Rights


@dataclass(frozen=True)
class Source:
    """What is read: a path in a copy, by restic, until somebody stops it."""

    restic: Restic
    copy: Copy
    path: str
    stop: Stop

    @contextmanager
    def output(self, *words: str, limit_s: float | None = None) -> Iterator[Pipe]:
        """What restic prints. Raises Trouble, restic's own where it ends before it should."""
        cut = None
        with self.restic.output(*words, limit_s=limit_s) as process, self.stop.ends(process.terminate):
            try:
                yield Pipe(self.copy.url, process.stdout)
            except Cut as error:
                cut = error
        if cut:
            raise cut

    def at(self, path: str) -> str:
        """A path, as restic's words have it together with the snapshot."""
        return f"{self.copy.snapshot}:{self.copy.root}/{path}"


def size(source: Source, walk: Walk) -> int:
    """Bytes of all files in a folder that the walk lets pass, as far as mode bits tell. Raises Trouble."""
    total = 0
    with source.output("ls", "--recursive", UNLOCKED, source.at(source.path), limit_s=COUNTS_S) as pipe:
        for said in (each for each in messages_in(pipe.source) if each.get("message_type") == "node"):
            rights = Rights(said.get("uid", 0), said.get("gid", 0), said.get("mode", 0) & 0o777)
            if walk.lets(said["path"].strip("/"), said["type"] == "dir", rights) and said["type"] == "file":
                total += said.get("size", 0)
    return total


def folder(source: Source, walk: Walk, passed: Passed) -> Iterator[bytes]:
    """A tar of what is in a folder. The last piece comes when restic says that all went well. Raises Trouble."""
    with source.output("dump", "--archive=tar", UNLOCKED, source.at(source.path), "/") as pipe:
        yield from filtered(pipe, walk, passed)
    yield END


def file(source: Source, node: Node, passed: Passed) -> Iterator[bytes]:
    """A tar of one file. Raises Trouble, also for a file that is shorter or longer than it was."""
    above, _, name = source.path.rpartition("/")
    yield header(node)
    with source.output("dump", UNLOCKED, source.at(above), f"/{name}") as pipe:
        for piece in pipe.pieces(node.size):
            yield piece
            passed(0, len(piece))
        if pipe.rest():
            raise Trouble(source.copy.url, "damaged", "a file is longer than it was")
    passed(1, 0)
    yield bytes(-node.size % BLOCK) + END


def link(node: Node) -> Iterator[bytes]:
    """A tar of one link."""
    yield header(node) + END


def header(node: Node) -> bytes:
    """What stands before one file, or is all of a link."""
    entry = tarfile.TarInfo(os.fsdecode(node.name))
    entry.mode, entry.mtime = node.rights.mode, nanoseconds(node.time) // 10**9
    if node.type == LINK:
        entry.type, entry.linkname = tarfile.SYMTYPE, os.fsdecode(node.target)
    else:
        entry.size = node.size
    return entry.tobuf(tarfile.PAX_FORMAT)


def filtered(pipe: Pipe, walk: Walk, passed: Passed, speaks_s: float = SPEAKS_S) -> Iterator[bytes]:
    """What of an archive the walk lets pass, without its end. Raises Trouble."""
    before, records, spoken = b"", {}, time.monotonic()
    while any(block := pipe.take(BLOCK)):
        if block[156:157] == RECORDS:
            before = block + _records(pipe, block)
            records = parsed(pipe.url, before[BLOCK : BLOCK + number(block[124:136])])
            continue
        entry = entry_of(pipe.url, block, records)
        is_mine = walk.lets(entry.path, entry.kind == FOLDER, None if entry.kind == LINKS else entry.rights)
        if is_mine:
            yield before + block
            passed(entry.kind in FILES, 0)
        for piece in pipe.pieces(entry.size):
            if is_mine:
                yield piece
                passed(0, len(piece))
            elif time.monotonic() - spoken > speaks_s:
                yield REMARK
                spoken = time.monotonic()
        padding = pipe.take(-entry.size % BLOCK)
        if is_mine:
            yield padding
        before, records = b"", {}
    pipe.rest()


def _records(pipe: Pipe, block: bytes) -> bytes:
    size = number(block[124:136])
    if size > LARGEST_RECORDS:
        raise Trouble(pipe.url, "damaged", "a file has more attributes than it can")
    return pipe.take(size + -size % BLOCK)


def parsed(url: str, data: bytes) -> Mapping[str, bytes]:
    """Keyword -> value, from lines of `LENGTH KEYWORD=VALUE` (pax). Raises Trouble for anything else."""
    found, at = {}, 0
    while at < len(data):
        length = data[at:].partition(b" ")[0]
        line = data[at : at + int(length)] if length.isdigit() else b""
        keyword, _, value = line[len(length) + 1 : -1].partition(b"=")
        if not keyword or line[-1:] != b"\n":
            raise Trouble(url, "damaged", "an archive has records that make no sense")
        found[keyword.decode(errors="replace")] = value
        at += len(line)
    return found


def entry_of(url: str, block: bytes, records: Mapping[str, bytes]) -> Entry:
    """The member that a head and the records before it describe. Raises Trouble for one that restic does not write."""
    kind, prefix = block[156:157], _text(block[345:500])
    if kind not in (*FILES, FOLDER, LINKS) or block[257:263] != b"ustar\0":
        raise Trouble(url, "other", f"it writes archives with members of the kind {kind!r}, which we do not know")
    path = records.get("path") or (prefix + b"/" if prefix else b"") + _text(block[:100])
    uid, gid, size = (int(records[name]) if name in records else number(block[at : at + length])
                      for name, at, length in (("uid", 108, 8), ("gid", 116, 8), ("size", 124, 12)))  # fmt: skip
    acl = records.get("SCHILY.acl.access")
    rights = Rights(uid, gid, number(block[100:108]) & 0o777, None if acl is None else acl_of_text(acl.decode()))
    return Entry(os.fsdecode(path).rstrip("/"), kind, size if kind in FILES else 0, rights)


def number(field: bytes) -> int:
    """A number in a head: octal digits, or binary where these do not hold it."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") + ((field[0] & 0x7F) << 8 * (len(field) - 1))
    return int(_text(field).strip() or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
