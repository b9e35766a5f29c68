"""The service: `python3 -m jupyterhub_mlinfn.backup_page`."""

from __future__ import annotations

import os

from ..pages import serving
from ..pages.look import look
from . import PAGE, handlers

if __name__ == "__main__":
    serving.main(PAGE, look(PAGE.prefix, "Backups", "backups"), handlers.ROUTES,
                 backup=os.environ["MLINFN_PAGE_BACKUP"])  # fmt: skip
