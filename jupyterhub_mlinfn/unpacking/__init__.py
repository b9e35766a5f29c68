"""In a container of its own: a tar from standard input becomes a folder below `restored` in a member's home.

`python3 -I -m jupyterhub_mlinfn.unpacking HOME PLACE` has the member's uid and sees nothing of the host but the home.
Read in this order: tar (GNU tar unpacks beside the place), placing (all of it goes to its place in one step; where a
folder is there already, tree by tree and file by file, and what is there stays), __main__ (both, and what is said).

So nobody ever sees half a file. Who is killed leaves a folder `.partial-…`, which the next one removes.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

RESTORED = "restored"
PARTIAL = ".partial-"
WHOLE = b"whole"
"""What comes after a tar that was sent to its end: a connection that breaks looks like the end of a tar as well."""
CUT, DAMAGED, FULL, PLACE = "cut", "damaged", "full", "place"
"""Why nothing was restored: the tar ended early, it is none, the disk takes no more, or something is in the way."""
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
SHOWN, LONGEST = 20, 500
"""How many names are told, and how many characters of each."""


class Trouble(Exception):
    """Why not everything was restored: `word` is one of the four above, `about` what is in the way."""

    def __init__(self, word: str, about: str = ""):
        super().__init__(word, about)
        self.word, self.about = word, about


@dataclass
class Names:
    """How many there were, and the first of them as they can be shown."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(shown(name))

    def __add__(self, other: Names) -> Names:
        return Names(self.count + other.count, [*self.first, *other.first][:SHOWN])


def shown(name: str) -> str:
    """The name as text that every reader takes, at most so long: \\xff for what is no UTF-8."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"
