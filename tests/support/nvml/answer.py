"""Says what the inventory finds, line by line: run by support.gpus with the stand-in library on LD_LIBRARY_PATH.

In: the settings of the section `gpus`, the folders of specifications and the driver's list of MIG rights, as JSON.
Out: what was found. `refresh` instead of `find` looks again with the Inventory of before.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

from jupyterhub_mlinfn.gpus import Inventory, find
from jupyterhub_mlinfn.settings import GPUs


class Said(logging.Handler):
    """The log's lines."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        self.lines.append(record.getMessage())


def main() -> None:
    """Nothing; answers until its input ends."""
    said, inventory = Said(), None
    logging.getLogger("jupyterhub.mlinfn.gpus").addHandler(said)
    for line in sys.stdin:
        asked = json.loads(line)
        gpus = GPUs(**asked["gpus"])
        if asked["do"] == "find":
            answer = asdict(find(gpus, asked["folders"], Path(asked["minors"])))
        else:
            inventory = inventory if asked["do"] == "again" else Inventory(gpus, asked["folders"])
            said.lines.clear()
            changed = asyncio.run(inventory.refresh())
            answer = {**asdict(inventory.found), "changed": changed, "log": list(said.lines)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
