"""JupyterHub configuration of a hub with rooms: the real page's entry, and labs that are one small process each."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jupyterhub.app import JupyterHub
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.spawner import SimpleLocalProcessSpawner, SpawnException

from jupyterhub_mlinfn import collab, form, room_accounts, room_api
from jupyterhub_mlinfn.ready import Watched
from jupyterhub_mlinfn.rooms import rooms_of
from jupyterhub_mlinfn.settings import Settings

PEOPLE = {"anna": ["cms"], "boris": ["cms"], "carla": ["atlas"], "dora": []}
REFUSED = "This room cannot start: its image has <b>nothing</b> in it."
LAB = """
import http.server, os, urllib.parse

class Lab(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        inside = self.path.endswith("/mlinfn/inside")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"inside": ["boris", "carla"]}' if inside else b"<title>Lab</title>the lab of the room")

there = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((there.hostname, there.port), Lab).serve_forever()
"""


class NameIsPassword(DummyAuthenticator):
    """Everybody's password is their name."""

    async def authenticate(self, handler, data):
        return data["username"] if data["username"] == data["password"] else None


class SmallLab(SimpleLocalProcessSpawner):
    """The room `broken` never starts; the others do once the file `go` is there, which counts for one start."""

    watched = Watched()
    folder = Path()
    room_name = property(lambda self: self.user.name.removeprefix("room-"))
    object_id = property(lambda self: str(self.pid))

    async def get_object(self):
        return {"Config": {"Env": [f"JUPYTERHUB_API_TOKEN={self.api_token}"], "Labels": {}}}

    async def progress(self):
        async for event in self.watched.events():
            yield event

    async def start(self):
        self.watched = Watched()
        self.watched.say(20, "Fetching the image: 20 of 100 MB")
        while not (self.folder / "go").exists():
            await asyncio.sleep(0.05)
        (self.folder / "go").unlink()
        self.watched.say(70, "Starting the container")
        if self.user.name == "room-broken":
            error = SpawnException(REFUSED, reason="died")
            error.jupyterhub_message = REFUSED
            raise error
        return await super().start()


class RoomsHandler(room_api.RoomsHandler):
    """The hub's own, but where `rooms.json` says what it shall tell."""

    async def get(self):
        scripted = SmallLab.folder / "rooms.json"
        if not scripted.exists():
            return await super().get()
        return self.write(scripted.read_text())


def configure(c, folder, rooms, subdomains):
    """Everything but the ports."""
    port = c.JupyterHub.hub_port - 2
    settings = Settings(root=folder, port=port, groups=sorted({room["group"] for room in rooms}), rooms=rooms,
                        subdomains=subdomains, rooms_without_subdomains="" if subdomains else "accepted")  # fmt: skip
    (folder / "lab.py").write_text(LAB)
    if subdomains:
        c.JupyterHub.subdomain_host = f"http://localhost:{port}"
    c.JupyterHub.authenticator_class = NameIsPassword
    c.Authenticator.allow_all = True
    c.JupyterHub.default_url = "/hub/home"
    c.JupyterHub.load_groups = groups_of(rooms)
    c.JupyterHub.spawner_class = SmallLab
    c.SimpleLocalProcessSpawner.home_dir_template = str(folder) + "/{username}"
    SmallLab.folder = folder
    c.Spawner.cmd = [sys.executable, str(folder / "lab.py")]
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0.1}
    c.JupyterHub.template_paths = [str(form.TEMPLATES)]
    c.JupyterHub.template_vars = {"contact": "help@example.org"}
    c.JupyterHub.services, c.JupyterHub.extra_user_scopes = [], set()
    c.JupyterHub.load_roles = [room_accounts.role(room) for room in rooms_of(settings)]
    [(path, _, what)] = room_api.handlers(settings)
    c.JupyterHub.extra_handlers = [(path, RoomsHandler, what)]
    collab.configure(c, settings)
    app = JupyterHub.instance()
    keeping = room_accounts.keep(app, rooms_of(settings), lambda: getattr(app, "http_server", None) is not None)
    app.keeping = asyncio.get_running_loop().create_task(keeping)


def groups_of(rooms):
    """Each group with its people."""
    return {room["group"]: {"users": [name for name, groups in PEOPLE.items() if room["group"] in groups]}
            for room in rooms}  # fmt: skip
