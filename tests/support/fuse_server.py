"""A read-only file system over FUSE with files out of a JSON file: `python fuse_server.py MOUNTPOINT FILES NAME`.

FILES maps paths to texts; those that begin with #! are executable. Stands where CVMFS would, and dies and freezes
like it: without its process, the mount is there and nothing behind it. As CVMFS's client it has no `flush`, without
which a process that had a file of a frozen server open can still end.
"""

from __future__ import annotations

import errno
import json
import stat
import sys
from pathlib import Path, PurePosixPath

from mfusepy import FUSE, FuseOSError, Operations

ENTRY = {"st_uid": 0, "st_gid": 0, "st_ctime": 0, "st_mtime": 0, "st_atime": 0}


class Repository(Operations):
    """What the kernel asks for."""

    use_ns = True

    def __init__(self, files: dict[str, str]):
        self.files = {f"/{path}": text.encode() for path, text in files.items()}
        self.folders = {str(folder) for path in self.files for folder in PurePosixPath(path).parents}

    def getattr(self, path: str, fh: int | None = None) -> dict:
        """Status of a file or folder."""
        if path in self.folders:
            return {**ENTRY, "st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2, "st_size": 0}
        if path not in self.files:
            raise FuseOSError(errno.ENOENT)
        content = self.files[path]
        mode = 0o755 if content.startswith(b"#!") else 0o644
        return {**ENTRY, "st_mode": stat.S_IFREG | mode, "st_nlink": 1, "st_size": len(content)}

    def readdir(self, path: str, fh: int) -> list[str]:
        """Names in a folder."""
        there = {*self.folders, *self.files} - {"/"}
        return [".", "..", *sorted(PurePosixPath(p).name for p in there if str(PurePosixPath(p).parent) == path)]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """A part of a file."""
        return self.files[path][offset : offset + size]


if __name__ == "__main__":
    mountpoint, files, name = sys.argv[1:]
    # The options of the CVMFS client; attributes are not kept, so that each look asks the server.
    FUSE(Repository(json.loads(Path(files).read_text())), mountpoint, foreground=True, nothreads=True, ro=True,
         allow_other=True, fsname=name, attr_timeout=0, entry_timeout=0)  # fmt: skip
