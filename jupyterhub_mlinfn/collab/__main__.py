"""The service: `python3 -m jupyterhub_mlinfn.collab`."""

from __future__ import annotations

import os

from ..pages import serving
from ..pages.look import look
from . import PAGE, handlers, parsed

if __name__ == "__main__":
    serving.main(PAGE, look(PAGE.prefix, "Rooms", "rooms"), handlers.ROUTES,
                 groups=parsed(os.environ["MLINFN_COLLAB_ROOMS"]))  # fmt: skip
