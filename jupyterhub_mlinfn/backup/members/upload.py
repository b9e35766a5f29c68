"""A tar goes to the hub as it comes, with the token of the member that it is for. What is cut off never ends well."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import chain
from typing import Any
from urllib.parse import urlencode, urlsplit

from ...errors import UserError
from .stopping import Stop

CHUNK, WAITS_S = 2**18, 10
TAKES_S, ANSWER_S = 660, 3700
"""How long the hub may take nothing more, and how long it may take to put all in its place."""
AWAY = "The hub does not answer any more. Nothing half was left; try again."
REFUSED = "The hub did not take the files. Try again, or ask whoever looks after this service."


def send(hub: str, token: str, words: Mapping[str, Any], pieces: Iterable[bytes], stop: Stop) -> Mapping[str, Any]:
    """What the hub says of what it has put in place. Raises UserError in its words, or what the pieces raise."""
    chunks = in_chunks(pieces)
    first = next(chunks)  # the hub does not wait long; so it is not asked before there is something
    there = urlsplit(hub)
    connection = HTTPConnection(there.hostname, there.port, timeout=TAKES_S)
    try:
        connection.connect()
        opened = connection.sock  # the connection forgets it before all is read
        with stop.ends(lambda: opened.shutdown(socket.SHUT_RDWR)):
            _begin(connection, f"{there.path}/mlinfn/restored?{urlencode(words)}", token)
            is_whole = _body(connection, chain((first,), chunks))
            connection.sock.settimeout(ANSWER_S if is_whole else TAKES_S)
            return answered(connection.getresponse(), is_whole)
    except (OSError, HTTPException):
        raise UserError(AWAY, reason="away") from None
    finally:
        connection.close()


def in_chunks(pieces: Iterable[bytes], size: int = CHUNK, waits_s: float = WAITS_S) -> Iterator[bytes]:
    """The same in fewer that are large, none of which waits long for more."""
    waiting, sent = bytearray(), time.monotonic()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= size or time.monotonic() - sent > waits_s:
            yield bytes(waiting)
            waiting.clear()
            sent = time.monotonic()
    if waiting:
        yield bytes(waiting)


def _begin(connection: HTTPConnection, path: str, token: str) -> None:
    connection.putrequest("POST", path)
    for name, value in (("Authorization", f"token {token}"), ("Content-Type", "application/x-tar"),
                        ("Transfer-Encoding", "chunked"), ("Connection", "close")):  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders()


def _body(connection: HTTPConnection, chunks: Iterable[bytes]) -> bool:
    """True once all of it was sent with its proper end; False where the hub has answered before, or is gone."""
    with contextlib.suppress(ConnectionError):
        for chunk in chunks:
            if select.select([connection.sock], [], [], 0)[0]:
                return False
            connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        connection.send(b"0\r\n\r\n")
        return True
    return False


def answered(response: HTTPResponse, is_whole: bool) -> Mapping[str, Any]:
    """What the hub says. Raises UserError if it is no."""
    try:
        said = json.loads(response.read(2**20))
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    if response.status == 200 and is_whole:
        return said
    raise UserError(str(said.get("message") or REFUSED), reason="away" if response.status >= 500 else "hub")
