"""The server of a room: JupyterHub's single-user server for a group, in which everybody is themselves.

Different from a lab: who may not enter any more is out within seconds, also of what is open (`sockets`); nobody goes by
another's name (`names`); what others have been shown survives the server (`documents`).
"""

import sys

import mlinfn_lab


def _jupyter_server_extension_points() -> list[dict]:
    from .server import RoomServer

    return [{"module": "mlinfn_room", "app": RoomServer}]


def main():
    """Exit status of jupyterhub-singleuser."""
    mlinfn_lab.defer()
    from .server import RoomServer

    return RoomServer.launch_instance(sys.argv[1:])
