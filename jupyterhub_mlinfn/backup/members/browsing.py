"""What a member sees of a folder in a copy, and what they may have of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UserError
from ..planning import moment
from .areas import Area
from .copies import Copy, written
from .rights import ENTER, READ, Reader
from .trees import FILE, FOLDER, LINK, Node, Trees, text_of

CLOSED = "You could not read this where it was, so you cannot have it from a copy."
NO_COPY = "Only files, folders and links can be restored."
WORDS = {FOLDER: "folder", FILE: "file", LINK: "link"}
"""What restic calls things -> what we do."""


def folder(trees: Trees, copy: Copy, area: Area, parts: Sequence[str]) -> dict[str, Any]:
    """What is in it, for the page. Raises UserError where there is none, or none for this member."""
    _enter(trees, copy, area, parts)
    listing = trees.listing(copy, path_of(area, parts))
    return {"entries": [_shown(node, area.reader) for node in listing.nodes], "more": listing.more}


def picked(trees: Trees, copy: Copy, area: Area, parts: Sequence[str]) -> Node:
    """What a path leads to, which the member may have. Raises UserError."""
    if parts:
        _enter(trees, copy, area, parts[:-1])
    node = trees.node(copy, path_of(area, parts))
    if node.type not in WORDS:
        raise UserError(NO_COPY)
    if not may(node, area.reader):
        raise UserError(CLOSED, reason="rights")
    return node


def path_of(area: Area, parts: Sequence[str]) -> str:
    """Below the root of its kind of data."""
    return "/".join((area.folder, *parts))


def may(node: Node, reader: Reader | None) -> bool:
    """Whether the reader could have copied it. What a link leads to is not looked at."""
    if reader is None or node.type == LINK:
        return True
    return node.rights.allow(reader, READ | ENTER if node.type == FOLDER else READ)


def _enter(trees: Trees, copy: Copy, area: Area, parts: Sequence[str]) -> None:
    """Nothing if every folder on the way, and the last, lets the member in. Raises UserError."""
    for depth in range(0 if area.reader else len(parts), len(parts) + 1):
        node = trees.node(copy, path_of(area, parts[:depth]))
        if node.type != FOLDER:
            raise UserError("There is no such folder in this copy.", reason="absent")
        if not may(node, area.reader):
            raise UserError(CLOSED, reason="rights")


def _shown(node: Node, reader: Reader | None) -> Mapping[str, Any]:
    """One entry. A name that is no text cannot be asked for: it comes with its folder."""
    is_text = text_of(node.name).encode() == node.name
    return {"name": text_of(node.name), "type": WORDS.get(node.type, "other"), "size": node.size,
            "time": _when(node.time), "may": is_text and node.type in WORDS and may(node, reader)}  # fmt: skip


def _when(text: str) -> str:
    """A time for the page; empty for one that no calendar has."""
    try:
        return written(moment(text))
    except ValueError:
        return ""
