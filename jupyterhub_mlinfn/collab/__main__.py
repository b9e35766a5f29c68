"""The service: `python3 -m jupyterhub_mlinfn.collab [FILE]` with the file of its token; the rest comes in variables."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import signal
import sys
from pathlib import Path

from jupyterhub.httpclient import JupyterHubHTTPClient
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from . import ACCESS, NAME, PREFIX, callback_url, handlers, place
from .asking import ANSWER

SECRET = Path("/run/secrets/collab_token")
LONGEST_BODY = 2**16
KEPT_S = 30
"""How long what the hub said of a visitor counts."""
ROOM = r"([a-z0-9-]{1,63})"
log = logging.getLogger("mlinfn.collab")


def application(there: place.Place) -> Application:
    """All addresses of the service."""
    return Application(
        [
            (PREFIX, handlers.Page),
            (f"{PREFIX}oauth_callback", handlers.Callback),
            (f"{PREFIX}api/rooms", handlers.Rooms),
            (f"{PREFIX}api/rooms/{ROOM}/start", handlers.Start),
            (f"{PREFIX}api/rooms/{ROOM}/stop", handlers.Stop),
            (f"{PREFIX}api/rooms/{ROOM}/progress", handlers.Progress),
            (rf"{PREFIX}static/([a-z.]+)", handlers.Loaded),
            (f"{PREFIX}health", handlers.Health),
        ],
        default_handler_class=handlers.Nothing, place=there, xsrf_cookies=True,
        xsrf_cookie_kwargs={"samesite": "Lax"}, cookie_secret=_key(there.token), log_function=_log,
    )  # fmt: skip


def _key(token: str) -> bytes:
    """What signs cookies: it stays when the service is made anew, so nobody is logged out by that."""
    return hmac.digest(token.encode(), b"cookies", hashlib.sha256)


def _log(handler: RequestHandler) -> None:
    """One line for what was refused or failed."""
    if handler.get_status() >= 400:
        log.warning("%d %s %s", handler.get_status(), handler.request.method, handler.request.path)


def oauth(there: place.Place) -> handlers.ByCookie:
    """How the hub knows the service; handlers find it by its class."""
    return handlers.ByCookie.instance(
        api_token=there.token, api_url=there.api, hub_host=there.hub, base_url=PREFIX,
        oauth_client_id=f"service-{NAME}", oauth_redirect_uri=callback_url(there.page), access_scopes={ACCESS},
        cache_max_age=KEPT_S, cookie_options={"samesite": "Lax"},
    )  # fmt: skip


async def serve(there: place.Place) -> None:
    """Nothing; answers until it is told to end, and then ends what is under way."""
    # Each visitor who watches a start keeps a connection to the hub.
    JupyterHubHTTPClient.instance(session_options={"timeout": ANSWER}, connector_options={"limit": 0})
    oauth(there)
    server = HTTPServer(application(there), xheaders=True, max_body_size=LONGEST_BODY)
    server.listen(there.port, "127.0.0.1")
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    log.warning("The page of rooms listens on port %d.", there.port)
    await ended.wait()
    server.stop()
    await server.close_all_connections()
    await JupyterHubHTTPClient.instance().close()


def main() -> None:
    """Nothing; see `serve`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # JupyterHub warns of every question of a browser that does not say where it comes from; none does over plain HTTP.
    logging.getLogger("tornado.application").setLevel(logging.ERROR)
    secret = Path(sys.argv[1]) if len(sys.argv) > 1 else SECRET
    asyncio.run(serve(place.read(os.environ, secret)))


if __name__ == "__main__":
    main()
