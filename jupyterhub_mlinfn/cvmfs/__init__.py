"""CVMFS, as far as a machine shows it without anybody reading a path below its folder.

    /proc/self/mountinfo  --mounts-->  what is mounted, read-only or not, shared or not
    the service `cvmfs-probe` (probe.py, a process of its own)  --report-->  which repositories answer
    an image's `view`  --view-->  a kernel for its labs

A FUSE server that hangs holds up whoever touches what it serves, and such a process may not even die. So the one place
that touches it is a child of the prober that nobody waits for.
"""

from .mounts import Mounted, below, carrier, read
from .report import NOTHING_SAID, State, Unreadable, parsed, trouble
from .view import KERNEL, archive

__all__ = ["KERNEL", "NOTHING_SAID", "Mounted", "State", "Unreadable", "archive", "below", "carrier", "parsed", "read",
           "trouble"]
