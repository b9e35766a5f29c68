"""The page /services/backup/: a member looks into the copies of their files and takes back what they want.

It has no powers of its own and no data: whatever it asks, it asks the service `backup` with the visitor's token.
`configure` is for the hub, the other modules are the service.
"""

from __future__ import annotations

from typing import Any

from .. import restored
from ..pages import Page
from ..settings import Settings

SERVICE = "backup-page"
"""What Compose calls it, and the folder of its secrets. To JupyterHub the page itself is the service `backup`."""
PAGE = Page("backup", offset=9, uid=69006, secret="backup_page_token")


def configure(c: Any, settings: Settings) -> None:
    """The hub knows the page, lets everybody on it, and shows where it is. Nothing where nothing is copied."""
    if not settings.backup.targets:
        return
    PAGE.configure(c, settings, [restored.SCOPE])
    c.JupyterHub.template_vars["backups_url"] = PAGE.url(settings)
