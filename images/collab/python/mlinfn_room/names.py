"""Nobody goes by another's name in a room.

What others see of somebody (name, initials, colour, where the cursor is) is what that person's own browser says: its
"awareness". The server puts in who they are by the hub, and lets nobody speak for another's browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import jupyter_server_ydoc.app
from jupyter_server_ydoc.handlers import YDocWebSocketHandler
from pycrdt import Decoder, Encoder, YMessageType, create_awareness_message, read_message

Owners = dict[int, str]
"""Number of a browser's document -> user name of whom it belongs to."""
OWNERS: WeakKeyDictionary[Any, Owners] = WeakKeyDictionary()
"""By document that is open."""


def install() -> None:
    """Documents and the list of who is there are served by NamedSocket. The extension has no setting for it."""
    jupyter_server_ydoc.app.YDocWebSocketHandler = NamedSocket


class NamedSocket(YDocWebSocketHandler):
    """One person's websocket to one document."""

    async def on_message(self, message: bytes) -> None:
        """Takes a message of the browser."""
        if message and message[0] == YMessageType.AWARENESS:
            owners = OWNERS.setdefault(self.room, {})
            update = named(read_message(message[1:]), identity(self.current_user), owners)
            message = create_awareness_message(update)
        await super().on_message(message)


def identity(user: Any) -> dict[str, Any]:
    """What others may see of somebody, as JupyterLab calls it."""
    seen = ("username", "name", "display_name", "initials", "avatar_url", "color")
    return {key: getattr(user, key) for key in seen if getattr(user, key, None)}


def named(update: bytes, user: Mapping[str, Any], owners: Owners) -> bytes:
    """The update with this person's name in what they say of themselves, and without what they say of others.

    An update is a list of (number of a document, clock, JSON or null), as in y-protocols/awareness.
    """
    entries = [each for each in _entries(update) if owners.setdefault(each[0], user["username"]) == user["username"]]
    encoder = Encoder()
    encoder.write_var_uint(len(entries))
    for number, clock, said in entries:
        encoder.write_var_uint(number)
        encoder.write_var_uint(clock)
        seen = {**said, "user": dict(user)} if isinstance(said, dict) else None
        encoder.write_var_string(json.dumps(seen, allow_nan=False))  # browsers would not read NaN
    return encoder.to_bytes()


def _entries(update: bytes) -> list[tuple[int, int, Any]]:
    decoder = Decoder(update)
    count = decoder.read_var_uint()
    return [(decoder.read_var_uint(), decoder.read_var_uint(), json.loads(decoder.read_var_string()))
            for _ in range(count)]  # fmt: skip
