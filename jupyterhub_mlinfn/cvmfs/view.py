"""A kernel that runs in a view of CVMFS: the view's own Python, with the environment that its setup.sh makes."""

from __future__ import annotations

import io
import json
import tarfile

KERNEL = "cvmfs-view"
FOLDER = f"usr/local/share/jupyter/kernels/{KERNEL}"
"""Where Jupyter looks in every image, whatever Python it is installed in. Without the first slash, as in an archive."""
SCRIPT = """
if [ ! -r "$1/setup.sh" ]; then echo "$1/setup.sh cannot be read: CVMFS does not answer, or there is no such view." >&2
exit 1; fi
view=$1 connection=$2
set --
source "$view/setup.sh"
exec python3 -m ipykernel_launcher -f "$connection"
""".strip()
"""Read by bash. A view's setup.sh looks at the arguments, so it gets none."""


def specification(view: str) -> dict:
    """The content of kernel.json."""
    return {
        "argv": ["bash", "-c", SCRIPT, KERNEL, view, "{connection_file}"],
        "display_name": _title(view),
        "language": "python",
        "metadata": {"debugger": True},
    }


def _title(view: str) -> str:
    """ "LCG_106 (CVMFS)" of /cvmfs/sft.cern.ch/lcg/views/LCG_106/x86_64-el9-gcc13-opt; else the last folder's name."""
    parts = view.split("/")
    release = parts[parts.index("views") + 1] if "views" in parts[:-1] else parts[-1]
    return f"{release} (CVMFS)"


def archive(view: str) -> bytes:
    """A tar with the kernel, to unpack at the root of a lab's container."""
    content = json.dumps(specification(view), indent=1).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(f"{FOLDER}/kernel.json")
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
