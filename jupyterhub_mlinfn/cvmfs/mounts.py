"""What is mounted where, from the kernel's own table: looking at it asks no file system anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..files import unescaped

TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mounted:
    """One line of the table."""

    path: str
    kind: str
    """Type of the file system: fuse, autofs, ext4..."""
    read_only: bool
    is_shared: bool
    """What is mounted below it later appears in its copies, such as a lab's."""


def read(text: str | None = None) -> tuple[Mounted, ...]:
    """All mounts in the order in which they were made, a later one over an earlier one at the same path."""
    lines = (TABLE.read_text() if text is None else text).splitlines()
    return tuple(_line(line) for line in lines if " - " in line)


def _line(line: str) -> Mounted:
    before, _, after = line.partition(" - ")
    fields, (kind, _, options) = before.split(), after.split(" ", 2)
    flags = {*fields[5].split(","), *options.split(",")}
    is_shared = any(field.startswith(("shared:", "master:")) for field in fields[6:])
    return Mounted(unescaped(fields[4]), kind, "ro" in flags, is_shared)


def carrier(mounts: Sequence[Mounted], folder: str) -> Mounted:
    """The mount that a folder lies on."""
    path = PurePosixPath(folder)
    holding = [each for each in mounts if path.is_relative_to(each.path)]
    return max(reversed(holding), key=lambda each: len(each.path))


def below(mounts: Sequence[Mounted], folder: str) -> dict[str, Mounted]:
    """What is mounted on the entries of a folder, by their names; of several on one, the last."""
    return {PurePosixPath(each.path).name: each for each in mounts
            if PurePosixPath(each.path).parent == PurePosixPath(folder) and each.path != folder}  # fmt: skip
