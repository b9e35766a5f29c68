"""What a room's server is made of: JupyterHub's single-user server, with our parts in their places."""

from __future__ import annotations

import json
import os

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider, JupyterHubSingleUser
from tornado import web

from . import documents, names
from .sockets import Sockets

ACCOUNT = os.environ.get("JUPYTERHUB_USER") if "MLINFN_ROOM" in os.environ else None
"""The room's own user at the hub; None where the image is used for somebody's own lab."""
HUB_ASKS = ("api", "api/kernels", "api/status", "mlinfn/inside")
"""What the hub asks a room with the room's own token."""


class RoomIdentityProvider(JupyterHubIdentityProvider):
    """Who somebody is, from the hub. The room itself is nobody: everybody in it can read its token, and would come in
    with that after they had left the group."""

    async def get_user(self, handler):
        """The person, or None for who may not enter."""
        user = await super().get_user(handler)
        if user and user.username == ACCOUNT and not _is_asked_by_hub(handler):
            self.log.warning("Somebody came with the room's own token, which opens nothing")
            handler._jupyterhub_user = None
            return None
        return user


def _is_asked_by_hub(handler) -> bool:
    """Whether the request reads what the hub wants to know of a room, and came past the public proxy."""
    request = handler.request
    asked = request.path.removeprefix(handler.settings["base_url"])
    return request.method == "GET" and asked in HUB_ASKS and "X-Forwarded-For" not in request.headers


class InsideHandler(APIHandler):
    """`GET mlinfn/inside`: {"inside": [user names]} of who has something open in the room now."""

    auth_resource = "contents"

    @web.authenticated
    def get(self) -> None:
        self.finish(json.dumps({"inside": self.settings["mlinfn_sockets"].people()}))


class RoomServer(JupyterHubSingleUser):
    """JupyterHub's single-user server, for a room."""

    def load_config_file(self) -> None:
        """The configuration of JupyterHub, but for who people are."""
        documents.install()
        names.install()
        super().load_config_file()
        self.config.ServerApp.identity_provider_class = RoomIdentityProvider
        self.serverapp.update_config(self.config)

    def initialize(self, args=None) -> None:
        """Called once the web application is there."""
        super().initialize(args)
        app = self.serverapp.web_app
        sockets = app.settings["mlinfn_sockets"] = Sockets(self.serverapp.identity_provider.hub_auth, self.log)
        sockets.watch()
        path = url_path_join(app.settings["base_url"], "mlinfn/inside")
        app.add_handlers(".*", [(path, InsideHandler)])

    async def stop_extension(self) -> None:
        """Called when the server ends, which has seconds for it."""
        self.serverapp.web_app.settings["mlinfn_sockets"].stop()
        await documents.save_all()
        await super().stop_extension()
