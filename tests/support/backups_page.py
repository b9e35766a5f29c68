"""The page of backups beside a real hub: the service as a process, and behind it one that a test scripts.

Everybody's password is their name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterhub_mlinfn import backup_page
from jupyterhub_mlinfn.settings import Settings
from support.hub import Hub, running_stock_hub
from support.members_api import MembersAPI
from support.service_page import PageMember, PageService, make_secret

CONFIG = """
import sys
from pathlib import Path

sys.path.insert(0, {here!r})
import backup_hub

backup_hub.configure(c, Path({folder!r}))
"""


class BackupsPage(PageService):
    """The page beside a hub, with the answers of the service of backups in `api`."""

    def __init__(self, hub: Hub, settings: Settings):
        self.api = MembersAPI(settings.port + 8, f"http://127.0.0.1:{hub.port + 2}/hub/api")
        super().__init__(backup_page.PAGE, "jupyterhub_mlinfn.backup_page", hub, settings,
                         MLINFN_PAGE_BACKUP=f"http://127.0.0.1:{settings.port + 8}/members")  # fmt: skip

    def member(self, name: str) -> PageMember:
        """Somebody who is logged in at the hub and has opened the page."""
        member = PageMember(self.hub.port, self.url, name)
        member.open()
        return member


@pytest.fixture(scope="module")
def backups_page(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str]) -> Iterator[BackupsPage]:
    """A hub, the page beside it, and a service of backups that knows of nothing yet."""
    folder = tmp_path_factory.mktemp("backups")
    make_secret(folder, backup_page.PAGE)
    config = CONFIG.format(here=str(Path(__file__).parent), folder=str(folder))
    with running_stock_hub(folder, proxy_command, config) as hub:
        page = BackupsPage(hub, Settings(root=folder, port=hub.port))
        try:
            page.api.start()
            page.start()
            yield page
        finally:
            page.stop()
            page.api.stop()
