"""Serves a page. The program may be given the file of its token; the rest comes in variables."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyterhub.httpclient import JupyterHubHTTPClient
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from . import CALLBACK, Page, callback_url, handlers, place
from .asking import ANSWER
from .look import Look

SECRETS = Path("/run/secrets")
LONGEST_BODY = 2**16
KEPT_S = 30
"""How long what the hub said of a visitor counts."""
log = logging.getLogger("mlinfn.pages")


def main(page: Page, look: Look, routes: Sequence[tuple], **more: Any) -> None:
    """Nothing; answers until it is told to end. `routes` come below the page's path, `more` is for their handlers."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # JupyterHub warns of every question of a browser that does not say where it comes from; none does over plain HTTP.
    logging.getLogger("tornado.application").setLevel(logging.ERROR)
    secret = Path(sys.argv[1]) if len(sys.argv) > 1 else SECRETS / page.secret
    there = place.read(os.environ, secret)
    asyncio.run(_serve(page, there, _application(there, look, routes, more)))


def _application(there: place.Place, look: Look, routes: Sequence[tuple], more: dict[str, Any]) -> Application:
    """All addresses of the service."""
    common = [(CALLBACK, handlers.Callback), (r"static/([a-z.]+)", handlers.Loaded),
              ("health", handlers.Health)]  # fmt: skip
    return Application(
        [(f"{look.prefix}{path}", handler) for path, handler in (*routes, *common)],
        default_handler_class=handlers.Nothing, place=there, look=look, xsrf_cookies=True,
        xsrf_cookie_kwargs={"samesite": "Lax"}, cookie_secret=_key(there.token), log_function=_log, **more,
    )  # fmt: skip


def _key(token: str) -> bytes:
    """What signs cookies: it stays when the service is made anew, so nobody is logged out by that."""
    return hmac.digest(token.encode(), b"cookies", hashlib.sha256)


def _log(handler: RequestHandler) -> None:
    """One line for what was refused or failed."""
    if handler.get_status() >= 400:
        log.warning("%d %s %s", handler.get_status(), handler.request.method, handler.request.path)


def _oauth(page: Page, there: place.Place) -> None:
    """The hub knows the service; handlers find this by its class."""
    handlers.ByCookie.instance(
        api_token=there.token, api_url=there.api, hub_host=there.hub, base_url=page.prefix,
        oauth_client_id=f"service-{page.name}", oauth_redirect_uri=callback_url(there.page),
        access_scopes={page.access}, cache_max_age=KEPT_S, cookie_options={"samesite": "Lax"},
    )  # fmt: skip


async def _serve(page: Page, there: place.Place, application: Application) -> None:
    """Answers until it is told to end, and then ends what is under way."""
    # Each visitor who waits for something keeps a connection.
    JupyterHubHTTPClient.instance(session_options={"timeout": ANSWER}, connector_options={"limit": 0})
    _oauth(page, there)
    server = HTTPServer(application, xheaders=True, max_body_size=LONGEST_BODY)
    server.listen(there.port, "127.0.0.1")
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    log.warning("The page %s listens on port %d.", page.prefix, there.port)
    await ended.wait()
    server.stop()
    await server.close_all_connections()
    await JupyterHubHTTPClient.instance().close()
