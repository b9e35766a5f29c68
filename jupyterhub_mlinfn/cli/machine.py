"""What `mlinfn doctor` looks at on the machine itself, and `mlinfn status` does not."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cvmfs import mounts
from ..settings import Settings
from . import backup_folders, driver
from .asking import Said, at_once, said

LISTENER = re.compile(r":(?P<port>\d+) .*users:\(\(\"(?P<program>[^\"]+)\",pid=(?P<pid>\d+)")
"""A line of ss(8)."""
KERNEL = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches", "kernel.pid_max", "net.ipv4.ip_forward",
          "vm.overcommit_memory")  # fmt: skip
"""Settings of the kernel, as sysctl(8) calls them."""
About = Callable[[], "Mapping[str, Any] | str"]
"""Waits for what the Engine says of itself: `docker info`, or why there is none."""


@dataclass(frozen=True)
class Account:
    """A line of /etc/passwd or /etc/group, or of /etc/subuid or /etc/subgid: who may use which numbers."""

    file: str
    name: str
    first: int
    count: int = 1


@dataclass(frozen=True)
class Machine:
    """How it was found."""

    compose: Said
    """Version of Docker's Compose."""
    clock: Said
    """Properties of the time service, of timedatectl(1)."""
    kernel: Mapping[str, str]
    """Name of a setting -> value, of those that this kernel has."""
    has_swap: bool
    inodes: Mapping[str, tuple[int, int]]
    """Folder -> files that can still be made on its disk, and that could be in all."""
    read_only: tuple[str, ...]
    """Folders on disks that nothing can be written to."""
    run_free: tuple[int, int]
    """Free and total bytes of the tmpfs with members' tokens."""
    is_one_disk: bool
    """Docker's images and the data lie on the same."""
    open_folders: tuple[str, ...]
    """A sentence for each folder of ours that others can look into."""
    accounts: tuple[Account, ...]
    """The machine's own people and groups, and the numbers that they may use beside their own."""
    unmounted: Mapping[str, str]
    """Folder that is a target of backups -> why nothing is copied into it."""
    owners: Mapping[int, tuple[int, str]]
    """Port on which something listens -> process and program."""
    driver: driver.Seen
    """How NVIDIA's driver and its toolkit are."""


def look(settings: Settings, about: About, world: Path) -> Machine:
    """The machine as it is now. `world` is the folder that its /etc, /proc/sys and the like are in."""
    return Machine(**at_once({
        "compose": lambda: said("docker", "compose", "version", "--short"),
        "clock": lambda: said("timedatectl", "show"),
        "kernel": lambda: kernel(world),
        "has_swap": lambda: len(_lines(world / "proc/swaps")) > 1,
        "inodes": lambda: inodes(settings, about()),
        "read_only": lambda: read_only(settings, about()),
        "run_free": lambda: _free(settings.root / "run"),
        "is_one_disk": lambda: is_one_disk(settings, about()),
        "open_folders": lambda: tuple(open_folders(settings.root)),
        "accounts": lambda: tuple(accounts(world / "etc")),
        "unmounted": lambda: unmounted(settings, world),
        "owners": owners,
        "driver": lambda: driver.look(about, world),
    }))  # fmt: skip


def kernel(world: Path) -> dict[str, str]:
    """Values of the settings that this kernel has."""
    paths = {name: world / "proc/sys" / name.replace(".", "/") for name in KERNEL}
    return {name: path.read_text().strip() for name, path in paths.items() if path.is_file()}


def inodes(settings: Settings, about: Mapping[str, Any] | str) -> dict[str, tuple[int, int]]:
    """Files that can be made where the data and Docker's are; nothing for a file system that does not count them."""
    counted = {str(path): os.statvfs(nearest(path)) for path in places(settings, about)}
    return {path: (each.f_favail, each.f_files) for path, each in counted.items() if each.f_files}


def read_only(settings: Settings, about: Mapping[str, Any] | str) -> tuple[str, ...]:
    """Those of our folders and Docker's that nothing can be written to."""
    return tuple(str(path) for path in places(settings, about) if os.statvfs(nearest(path)).f_flag & os.ST_RDONLY)


def places(settings: Settings, about: Mapping[str, Any] | str) -> list[Path]:
    """Where the data are, and Docker's."""
    return [settings.root, *([] if isinstance(about, str) else [Path(about["DockerRootDir"])])]


def nearest(path: Path) -> Path:
    """The path, or of one that is not there yet the folder that it would be made in."""
    while not path.exists():
        path = path.parent
    return path


def is_one_disk(settings: Settings, about: Mapping[str, Any] | str) -> bool:
    """True if the data and Docker's are on the same disk."""
    there = places(settings, about)
    return len(there) > 1 and len({nearest(path).stat().st_dev for path in there}) == 1


def _free(folder: Path) -> tuple[int, int]:
    there = os.statvfs(nearest(folder))
    return there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize


def open_folders(root: Path) -> Iterable[str]:
    """Those of the root folder, the hub's and secrets' that somebody besides their owner can enter."""
    for folder in (root, root / "hub", root / "secrets", *sorted((root / "secrets").glob("*"))):
        if folder.is_dir() and (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o077:
            yield f"{folder} has mode {mode:04o}, not 0700."


def accounts(etc: Path) -> Iterable[Account]:
    """Everybody in the machine's own files."""
    for file in ("passwd", "group"):
        yield from (Account(file, fields[0], int(fields[2])) for fields in _fields(etc / file, 2))
    for file in ("subuid", "subgid"):
        yield from (Account(file, fields[0], int(fields[1]), int(fields[2])) for fields in _fields(etc / file, 1, 2))


def _fields(path: Path, *numbers: int) -> list[list[str]]:
    """The fields of each line in which those at `numbers` are numbers."""
    lines = [line.split(":") for line in _lines(path)]
    return [each for each in lines if len(each) > max(numbers) and all(each[at].isdecimal() for at in numbers)]


def unmounted(settings: Settings, world: Path) -> dict[str, str]:
    """Targets of backups that are not as they must be."""
    fstab = "\n".join(_lines(world / "etc/fstab"))
    return backup_folders.away(settings, fstab, mounts.read())


def owners() -> dict[int, tuple[int, str]]:
    """Who listens on which port, as far as this user may see it."""
    found = (LISTENER.search(line) for line in said("ss", "-Hltnp").text.splitlines())
    return {int(each["port"]): (int(each["pid"]), each["program"]) for each in found if each}


def _lines(path: Path) -> list[str]:
    """The lines of a file; none if there is no such file."""
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


def version(text: str) -> tuple[int, ...]:
    """The first version number in a text, such as (2, 26, 1) of "v2.26.1-4"; empty if there is none."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
