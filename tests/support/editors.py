"""People who edit a notebook of a room without a browser: what JupyterLab's half of collaboration does, and no more."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import aiohttp
from jupyter_ydoc import YNotebook
from pycrdt import (
    Doc,
    TextEvent,
    TransactionEvent,
    YMessageType,
    create_sync_message,
    create_update_message,
    handle_sync_message,
)

from support.client import Lab

CELL = {"cell_type": "code", "id": "first", "metadata": {}, "outputs": [], "execution_count": None}
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
          "language_info": {"name": "python"}}  # fmt: skip
WORD = 8
"""Characters of each edit: "ann01234" is anna's 1234th. All edits are made between words, so each stays whole."""


async def until_true(condition: Callable[[], bool], timeout_s: float, what: str | Callable[[], str]) -> None:
    """Nothing, once it is so; others of the same loop go on meanwhile. Raises AssertionError."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"Waited {timeout_s} s in vain for {what() if callable(what) else what}"
        await asyncio.sleep(0.01)


def write_notebook(lab: Lab, path: str, source: str = "") -> None:
    """A notebook with one cell is in the file."""
    content = {"cells": [{**CELL, "source": source}], "metadata": PYTHON, "nbformat": 4, "nbformat_minor": 5}
    body = {"type": "notebook", "format": "json", "content": content}
    answer = lab.request("PUT", f"api/contents/{quote(path)}", json=body)
    assert answer.ok, answer.text


def on_disk(lab: Lab, path: str) -> str | None:
    """The first cell in the file; None while that is being written."""
    answer = lab.request("GET", f"api/contents/{quote(path)}")
    return answer.json()["content"]["cells"][0]["source"] if answer.ok else None


class Editor:
    """One person with one notebook open. It comes back by itself when the connection is lost, with all that it has."""

    def __init__(self, name: str, lab: Lab, path: str, token: str):
        self.name, self.lab, self.path, self.token = name, lab, path, token
        self.doc = Doc()
        self.notebook = YNotebook(self.doc)
        self.made: dict[str, float] = {}
        self.shown: dict[str, float] = {}
        self.connections = 0
        self.closed_with: int | None = None
        self.synced = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._address = ""
        self._task: asyncio.Task | None = None
        self._sending: set[asyncio.Future] = set()

    async def __aenter__(self) -> Editor:
        headers = {"Authorization": f"token {self.token}", "Host": self.lab.host}
        self._session = aiohttp.ClientSession(headers=headers)
        await self._ask_session()
        self.doc.observe(self._send)
        self._task = asyncio.create_task(self._stay())
        await asyncio.wait_for(self.synced.wait(), 30)
        self._watched = self.cell  # kept: what nobody holds is not observed
        self._watched.observe(self._see)
        return self

    async def __aexit__(self, *error) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._session.close()

    @property
    def cell(self):
        """The text of the first cell."""
        return self.notebook.ycells[0]["source"]

    @property
    def text(self) -> str:
        """What this person has on the screen."""
        return str(self.cell)

    @property
    def words(self) -> list[str]:
        """The edits in the first cell, in the order of the text."""
        text = self.text
        return [text[at:at + WORD] for at in range(0, len(text), WORD)]

    def type(self) -> str:
        """One more word at some place of the first cell."""
        word = f"{self.name[:3]}{len(self.made):05}"
        self.made[word] = time.monotonic()
        self.cell.insert(WORD * random.randint(0, len(self.text) // WORD), word)
        return word

    def delays_of(self, other: Editor) -> list[float]:
        """Seconds from each of the other's edits to its being here."""
        return [self.shown[word] - made for word, made in other.made.items() if word in self.shown]

    def _see(self, event: TextEvent) -> None:
        now = time.monotonic()
        for change in event.delta:
            inserted = change.get("insert", "")
            self.shown.update({inserted[at:at + WORD]: now for at in range(0, len(inserted), WORD)})

    def _send(self, event: TransactionEvent) -> None:
        if event.transaction.origin() is None and self._socket is not None and not self._socket.closed:
            sending = asyncio.ensure_future(self._socket.send_bytes(create_update_message(event.update)))
            self._sending.add(sending)  # kept: asyncio itself holds tasks only weakly
            sending.add_done_callback(self._sending.discard)

    async def _ask_session(self) -> None:
        base = f"http://127.0.0.1:{self.lab.port}{self.lab.path}api/collaboration/"
        body = {"format": "json", "type": "notebook"}
        async with self._session.put(f"{base}session/{quote(self.path)}", json=body) as answer:
            assert answer.ok, await answer.text()
            model = json.loads(await answer.text())
        room = f"json:notebook:{model['fileId']}"
        self._address = f"{base}room/{room}?sessionId={model['sessionId']}"

    async def _stay(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, ConnectionError):
                await self._connect()
            await asyncio.sleep(0.2)

    async def _connect(self) -> None:
        async with self._session.ws_connect(self._address, max_msg_size=0) as socket:
            self.connections += 1
            self._socket = socket
            await socket.send_bytes(create_sync_message(self.doc))
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY and message.data[0] == YMessageType.SYNC:
                    await self._take(socket, message.data[1:])
            self.closed_with = socket.close_code

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, message: bytes) -> None:
        with self.doc.transaction(origin="room"):
            reply = handle_sync_message(message, self.doc)
        if reply is not None:
            await socket.send_bytes(reply)
        if message[0] == 1:  # all that the room has
            self.synced.set()
