"""The folders in a snapshot, as restic keeps them: with all rights, and with names that are not text."""

from __future__ import annotations

import base64
import codecs
import heapq
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, TypeVar

from ...errors import UserError
from ..restic import ANSWER_S
from ..trouble import Trouble
from .copies import Copies, Copy
from .rights import Rights, acl_of_attribute

T = TypeVar("T")
MOST = 2000
"""So many entries of a folder are listed."""
AT_ONCE, WAIT_S = 2, 20
"""So many folders are read at a time, each with the memory that restic takes for its index; and how long one waits."""
LISTINGS, NODES = 32, 512
"""So many are kept in memory: a snapshot never changes."""
PIECE, LONGEST = 2**16, 2**27
"""Bytes that are read at once, and most that one entry may take: restic lists the parts of a large file in it."""
ABSENT = re.compile(r": not found|not a directory|no matching ID found")
NOT_THERE = "That is not in this copy. Pick another date."
BUSY = "Many people look into copies at the moment. Try again in a minute."
ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
JSON = json.JSONDecoder()
FOLDER, FILE, LINK = "dir", "file", "symlink"


@dataclass(frozen=True)
class Node:
    """One file or folder."""

    name: bytes
    type: str
    size: int
    time: str
    rights: Rights
    target: bytes = b""
    """Where a link leads."""


@dataclass(frozen=True)
class Listing:
    """What is in a folder, folders first; not all where there is `more`."""

    nodes: tuple[Node, ...]
    more: bool


class Trees:
    """Reads them, a few at a time, and keeps what was read last. Paths begin below the root of a kind of data."""

    def __init__(self, copies: Copies):
        self.copies = copies
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self.listing = lru_cache(LISTINGS)(self._listing)
        self.node = lru_cache(NODES)(self._node)

    def _listing(self, copy: Copy, path: str) -> Listing:
        """What is in the folder. Raises UserError if there is none, OperatorError if it cannot be read."""
        found = self._read(copy, path, lambda nodes: heapq.nsmallest(MOST + 1, nodes, key=_order))
        return Listing(tuple(found[:MOST]), len(found) > MOST)

    def _node(self, copy: Copy, path: str) -> Node:
        """What the path leads to. Raises UserError if there is nothing, OperatorError if it cannot be read.

        Who asks has mostly looked into the folder before, so that nothing has to be read again.
        """
        above, _, name = path.rpartition("/")
        wanted, listing = name.encode(), self.listing(copy, above)
        found = _named(listing.nodes, wanted)
        if found is None and listing.more:
            found = self._read(copy, above, lambda nodes: _named(nodes, wanted))
        if found is None:
            raise UserError(NOT_THERE, reason="absent")
        return found

    def _read(self, copy: Copy, path: str, take: Callable[[Iterator[Node]], T]) -> T:
        """What is made of the entries of a folder, asked for twice.

        Without a lock, because a lock of ours would end a check or a prune that begins meanwhile. A prune may take away
        what is about to be read; but all that restic reads is named by its hash, so it never reads anything else.
        """
        try:
            return self._once(copy, path, take)
        except Trouble as trouble:
            if trouble.reason in ("away", "killed"):
                raise
            self.copies.look_again(copy)
            return self._once(self.copies.one(copy.kind, copy.snapshot), path, take)

    def _once(self, copy: Copy, path: str, take: Callable[[Iterator[Node]], T]) -> T:
        words = ("cat", "tree", "--no-lock", f"{copy.snapshot}:{copy.root}/{path}")
        try:
            with self._turn(), self.copies.restic(copy).output(*words, limit_s=ANSWER_S) as process:
                return take(map(node_of, parsed(process.stdout)))
        except Trouble as trouble:
            if ABSENT.search(str(trouble)):
                raise UserError(NOT_THERE, reason="absent") from None
            raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=WAIT_S):
            raise UserError(BUSY, reason="full")
        try:
            yield
        finally:
            self._turns.release()


def _named(nodes: Iterable[Node], name: bytes) -> Node | None:
    return next((node for node in nodes if node.name == name), None)


def _order(node: Node) -> tuple[bool, str, bytes]:
    return node.type != FOLDER, text_of(node.name).casefold(), node.name


def text_of(name: bytes) -> str:
    """A name for people; U+FFFD stands for what is no text."""
    return name.decode(errors="replace")


def parsed(tree: IO[bytes], piece: int = PIECE, longest: int = LONGEST) -> Iterator[Mapping[str, Any]]:
    """The entries in the JSON of a folder, {"nodes": [...]}, one after the other: there may be a million."""
    decoded = codecs.getincrementaldecoder("utf-8")("replace").decode
    text = decoded(tree.read(piece))
    at = text.find("[") + 1 or len(text)
    while True:
        start = text.find("{", at)
        try:
            node, at = JSON.raw_decode(text, start if start >= 0 else len(text))
            yield node
        except ValueError:  # it, or the rest of it, comes with the next piece
            if not (more := tree.read(max(piece, len(text) - at))):
                return
            if len(text) > longest:
                raise UserError("This folder cannot be shown. Restore the one that it is in.", reason="full") from None
            text, at = text[at:] + decoded(more), 0


def node_of(said: Mapping[str, Any]) -> Node:
    """An entry in our words."""
    acl = next((base64.b64decode(each["value"]) for each in said.get("extended_attributes") or ()
                if each["name"] == "system.posix_acl_access"), None)  # fmt: skip
    rights = Rights(said.get("uid", 0), said.get("gid", 0), said.get("mode", 0) & 0o777,
                    None if acl is None else acl_of_attribute(acl))  # fmt: skip
    raw = said.get("linktarget_raw")
    target = base64.b64decode(raw) if raw else said.get("linktarget", "").encode()
    return Node(unquoted(said["name"]), said["type"], said.get("size", 0), said["mtime"], rights, target)


def unquoted(name: str) -> bytes:
    """The name that restic wrote so, as Go quotes text: what is no text in it is \\xff."""
    return ESCAPE.sub(_meant, name.encode())


def _meant(escape: re.Match) -> bytes:
    kind, digits = escape[1][:1], escape[1][1:].decode()
    if kind == b"x":
        return bytes.fromhex(digits)
    return chr(int(digits, 16)).encode() if digits else ESCAPES.get(kind, kind)
