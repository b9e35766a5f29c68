"""GNU tar, and what it says on the way. It keeps what is hostile in a tar from leaving the folder."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from subprocess import PIPE
from typing import IO

from . import CUT, DAMAGED, FULL, WHOLE, Names, Trouble

COMMAND = (
    "tar", "--extract", "--file=-", "--preserve-permissions", "--delay-directory-restore", "--xattrs-include=user.*",
    "--quoting-style=escape", "--warning=no-timestamp", "--warning=no-xattr-write",
)  # fmt: skip
END = bytes(1024)
"""What every whole tar ends with."""
CHUNK = 256 * 2**10
# What GNU tar 1.35 says. Where it ends with a failure and said anything else, half a file may be there.
IS_FULL = re.compile(r": (No space left on device|Disk quota exceeded)$|: Wrote only \d+ of \d+ bytes$")
IS_DAMAGED = re.compile(r"does not look like a tar archive$|Skipping to next header$")
NOT_MADE = re.compile(r"tar: (.+?): (?:Member name contains '\.\.'|"
                      r"Cannot (?:open|mkdir|mknod|mkfifo|(?:hard link|create symlink) to .*): .*)")  # fmt: skip
HARMLESS = re.compile(r"tar: (Removing leading |Ignoring unknown |Exiting with failure status)|: (Unknown file type |"
                      r"Cannot (stat|utime|change mode)\b)")  # fmt: skip


@dataclass
class Complaints:
    """What tar says on the way."""

    not_made: Names = field(default_factory=Names)
    """Such as devices, and names with `..`; nothing is there of these."""
    trouble: str = ""
    strange: str = ""
    """The first complaint that is not known."""

    def add(self, line: str) -> None:
        """One more."""
        if IS_FULL.search(line):
            self.trouble = FULL
        elif IS_DAMAGED.search(line):
            self.trouble = self.trouble or DAMAGED
        elif found := NOT_MADE.fullmatch(line):
            self.not_made.add(found[1])
        elif not HARMLESS.search(line):
            self.strange = self.strange or line

    def hear(self, tar: subprocess.Popen) -> None:
        """Nothing, once tar has ended. It is ended where going on is no use."""
        for raw in tar.stderr:
            self.add(raw.decode(errors="replace").rstrip("\n"))
            if self.trouble:
                tar.kill()


def unpack(source: int, folder: str) -> Names:
    """What could not be made; everything else is in the folder, whole. Raises Trouble."""
    said, command = Complaints(), [*COMMAND, f"--directory={folder}"]
    with ThreadPoolExecutor(1) as beside, subprocess.Popen(command, stdin=PIPE, stderr=PIPE) as tar:
        heard = beside.submit(said.hear, tar)
        is_whole = _feed(source, tar.stdin, said)
        heard.result()
        status = tar.wait()
    if said.trouble or not is_whole:
        raise Trouble(said.trouble or CUT)
    if status < 0:
        raise subprocess.CalledProcessError(status, command)
    if status and (said.strange or not said.not_made.count):
        raise Trouble(DAMAGED, said.strange)
    return said.not_made


def _feed(source: int, tar: IO[bytes], said: Complaints) -> bool:
    """True if a whole tar went by. One that is cut off between two files is whole for tar itself."""
    last, held = END + WHOLE, b""
    while not said.trouble and (chunk := os.read(source, CHUNK)):
        held += chunk
        with contextlib.suppress(BrokenPipeError):  # it reads no further than to its end, and more zeros may come
            tar.write(held[: -len(last)])
        held = held[-len(last) :]
    with contextlib.suppress(BrokenPipeError), tar:
        tar.write(held.removesuffix(WHOLE))
    return held == last
