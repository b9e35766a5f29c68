"""Runs in the place of CVMFS's client, in its container: mounts with its rights, in its places, from its settings.

The first repository is a tmpfs, which answers; the second a FUSE mount that nobody serves, which hangs.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

READ_ONLY, NO_SUID_NO_DEV, REMOUNT, DETACH = 1, 2 | 4, 32, 2
libc = ctypes.CDLL(None, use_errno=True)
lines = Path("/etc/cvmfs/default.local").read_text().splitlines()
settings = {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}
names = settings["CVMFS_REPOSITORIES"].split(",")


def mount(kind: str, name: str, flags: int, options: str = "") -> None:
    """Nothing, once it is mounted on its place."""
    os.makedirs(f"/cvmfs/{name}", exist_ok=True)
    if libc.mount(name.encode(), f"/cvmfs/{name}".encode(), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def stop(*_: object) -> None:
    for name in names:
        libc.umount2(f"/cvmfs/{name}".encode(), DETACH)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
mount("tmpfs", names[0], NO_SUID_NO_DEV)
Path(f"/cvmfs/{names[0]}/here").write_text(f"{settings['CVMFS_HTTP_PROXY']} {time.time_ns()}")
mount("tmpfs", names[0], REMOUNT | READ_ONLY | NO_SUID_NO_DEV)
server = os.open("/dev/fuse", os.O_RDWR)
mount("fuse", names[1], READ_ONLY | NO_SUID_NO_DEV, f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other")
os.chown("/var/lib/cvmfs", 1000, 1000)  # the client gives its cache to a user of its own
signal.pause()
