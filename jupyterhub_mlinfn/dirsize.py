"""The service `dirsize`: what the folders of people, groups and rooms take on the disk, told to Prometheus on loopback.

Its names are those of prometheus-dirsize-exporter. That itself follows links, so a member could lead it anywhere and
keep it there for ever; it ends when a folder goes while it looks; and it listens on all addresses. Run with:
`MLINFN_DIRSIZE_PORT=8016 python3 -m jupyterhub_mlinfn.dirsize`.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import Metric

from . import loopback, metrics

DATA = Path("/data")
KINDS = ("users", "groups", "shared", "rooms")
OF_PEOPLE = ("users", "shared")
"""Those whose folders have names of people."""
PER_S = 100
"""Files and folders that are looked at in a second: a disk that people work on does not notice."""
EVERY_S = 3600
"""Between the beginnings of two rounds, where one does not take longer."""
BLOCK = 512
DEEPEST = 450
"""What is further down is not counted: each level takes memory and two open files, and anybody can make many."""
MOST_LINKED = 200_000
"""Files with several names that are remembered, so that each counts once. Beyond that they count for each name."""
AS_IT_IS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How a folder is opened: not if a link has taken its place."""


class Pace:
    """Lets so many looks happen in a second, in steps of a tenth: a thread that wakes up for each has its price."""

    def __init__(self, per_s: float):
        self.each_s, self.due = 1 / per_s, 0.0

    def take(self) -> None:
        """Returns when it is time for the next."""
        now = time.monotonic()
        self.due = max(self.due, now - 0.1) + self.each_s
        if self.due - now > 0.1:
            time.sleep(self.due - now)


@dataclass(frozen=True)
class Size:
    """What a folder holds: bytes on the disk, files and folders, and the times of the newest and the oldest change."""

    bytes: int = 0
    entries: int = 0
    newest: float = 0
    oldest: float = float("inf")

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.entries + other.entries, max(self.newest, other.newest),
                    min(self.oldest, other.oldest))  # fmt: skip


def size_of(folder: Path, pace: Pace) -> Size:
    """What the folder and all below it take. A file with several names in it counts once."""
    found, linked = Size(), set()
    for status in _statuses(folder, pace):
        file = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if file in linked:
                continue
            if len(linked) < MOST_LINKED:
                linked.add(file)
        found += Size(status.st_blocks * BLOCK, 1, status.st_mtime, status.st_mtime)
    return found


def _statuses(folder: Path, pace: Pace) -> Iterator[os.stat_result]:
    """Of the folder and all below it. No link is followed, and what goes meanwhile, or cannot be read, is left out."""
    yield folder.lstat()
    looked_into = [_entries(folder)]
    while looked_into:
        found = next(looked_into[-1], None)
        if found is None:
            looked_into.pop()
            continue
        place, entry = found
        pace.take()
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and len(looked_into) < DEEPEST:
                looked_into.append(_entries(entry.name, place))
            yield status


def _entries(name: Path | str, place: int | None = None) -> Iterator[tuple[int, os.DirEntry]]:
    """What is in a folder, which is beside or below an open one, with that folder as it is open."""
    with suppress(OSError):
        opened = os.open(name, AS_IT_IS, dir_fd=place)
        try:
            with os.scandir(opened) as entries:
                for entry in entries:
                    yield opened, entry
        finally:
            os.close(opened)


class Sizes:
    """What is known of all folders. One thread looks, round after round; another tells."""

    def __init__(self, data: Path = DATA, *, named: bool = True, per_s: float = PER_S):
        self.data, self.named, self.pace = data, named, Pace(per_s)
        self.known: dict[str, dict[str, Size]] = {kind: {} for kind in KINDS}
        self.ended: dict[str, float] = dict.fromkeys(KINDS, 0.0)

    def go_on(self, every_s: float = EVERY_S) -> None:
        """Round after round, for as long as the process lives."""
        while True:
            began = time.monotonic()
            for kind in KINDS:
                try:
                    self.look(kind)
                except Exception:  # noqa: BLE001 - the outermost loop: whatever it is, the next round comes
                    traceback.print_exc()
            time.sleep(max(0.0, began + every_s - time.monotonic()))

    def look(self, kind: str) -> None:
        """Each folder of this kind is looked through; those that have gone are forgotten."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.data / kind) if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            print(f"{kind} cannot be looked at: {error}", file=sys.stderr, flush=True)
            return
        self.known[kind] = {name: size for name, size in self.known[kind].items() if name in names}
        for name in names:
            try:
                self.known[kind] = {**self.known[kind], name: size_of(self.data / kind / name, self.pace)}
            except FileNotFoundError:  # it has gone meanwhile
                continue
            except OSError as error:
                print(f"{kind}/{name} cannot be looked at: {error}", file=sys.stderr, flush=True)
        self.ended[kind] = time.time()

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text for a path."""
        return loopback.told(path, lambda: metrics.page(self._families()))

    def _families(self) -> Iterator[Metric]:
        sizes = list(self._told().items())
        yield metrics.DIRSIZE_BYTES.read((labels, size.bytes) for labels, size in sizes)
        yield metrics.DIRSIZE_ENTRIES.read((labels, size.entries) for labels, size in sizes)
        yield metrics.DIRSIZE_NEWEST.read((labels, size.newest) for labels, size in sizes)
        yield metrics.DIRSIZE_OLDEST.read((labels, size.oldest) for labels, size in sizes)
        yield metrics.DIRSIZE_ENDED.read(([kind], ended) for kind, ended in self.ended.items())

    def _told(self) -> Mapping[tuple[str, str], Size]:
        """By folder and kind; without names, those of people together."""
        told: dict[tuple[str, str], Size] = {}
        for kind, sizes in self.known.items():
            for name, size in sizes.items():
                labels = ("" if kind in OF_PEOPLE and not self.named else name, kind)
                told[labels] = told.get(labels, Size()) + size
        return told


def main() -> None:
    """Nothing; looks and answers until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default
    sizes = Sizes(named=bool(os.environ.get("MLINFN_PER_PERSON")))
    threading.Thread(target=sizes.go_on, daemon=True).start()
    loopback.server(sizes.answer, int(os.environ["MLINFN_DIRSIZE_PORT"])).serve_forever()


if __name__ == "__main__":
    main()
