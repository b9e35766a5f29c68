"""The server of a room: JupyterHub's single-user server for a group, in which everybody is themselves.

Different from a lab: who may not enter any more is out within seconds, also of what is open (`sockets`); nobody goes by
another's name (`names`); what others have been shown survives the server (`documents`).
"""

import logging
import os
import sys

import mlinfn_lab


def _jupyter_server_extension_points() -> list[dict]:
    from .server import RoomServer

    return [{"module": "mlinfn_room", "app": RoomServer}]


def main():
    """Runs the server until it is stopped; the process ends with it."""
    mlinfn_lab.defer()
    from .server import RoomServer

    RoomServer.launch_instance(sys.argv[1:])
    logging.shutdown()
    # Everything is saved. A thread of the documents' store, which nobody ends while somebody is connected, would hold
    # the process until it is killed.
    os._exit(0)
