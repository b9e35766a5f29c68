"""Files of a room, which many read and write at the same time: whoever reads one sees the old or the new, never half.

Jupyter Server writes into the file itself and keeps a copy beside it meanwhile. Who reads the file in that moment takes
it for broken and puts the copy in its place, whereupon the save that goes on removes it: the file is gone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager


class WholeFiles(AsyncLargeFileManager):
    """Jupyter's files, of which a new one takes the place of the old when it is whole."""

    @contextmanager
    def atomic_writing(self, os_path: str, *arguments: Any, **options: Any) -> Iterator[IO]:
        """A file to write into, which has this path once all is written."""
        path = os.path.realpath(os_path)
        if not os.access(os.path.dirname(path), os.W_OK):  # only the file itself may be written
            with super().atomic_writing(os_path, *arguments, **options) as file:
                yield file
            return
        with self.perm_to_403(os_path), _beside(path, **options) as file:
            yield file


@contextmanager
def _beside(path: str, text: bool = True, encoding: str = "utf-8") -> Iterator[IO]:
    """With the rights of the file that it replaces; a new one has those that its folder gives."""
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name[:200]}.{os.urandom(4).hex()}")
    opened = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with open(opened, "w" if text else "wb", encoding=encoding if text else None,
                  newline="\n" if text else None) as file:  # fmt: skip
            yield file
            file.flush()
            os.fsync(opened)
            with suppress(FileNotFoundError):
                os.fchmod(opened, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
