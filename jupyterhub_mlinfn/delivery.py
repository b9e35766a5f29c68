"""A container that reads from us: made, fed, heard and gone. For restores, whose tar is as large as a home."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound

from .container import ContainerPlan
from .engine import EngineSpawner

STDOUT, STDERR = 1, 2
LONGEST = 256 * 2**10
"""Bytes of each stream that are kept, the last ones."""
STALLED_S = 10 * 60
"""A container that takes nothing for so long has stalled, or its disk has."""
GRACE_S = 30
"""How long it may clean up when its input has ended early."""
Said = dict[int, bytes]


@dataclass(frozen=True)
class Delivery:
    """The open way into a running container."""

    writer: asyncio.StreamWriter
    said: asyncio.Task[Said]
    """What it has written to each stream; done when it has ended."""

    async def take(self, chunk: bytes) -> bool:
        """True once there is room for more; False if the container has ended. Raises asyncio.TimeoutError.

        The Engine hangs up as soon as the container has ended, and reads what is sent to it a good while longer.
        """
        self.writer.write(chunk)
        room = asyncio.ensure_future(self.writer.drain())
        done, _ = await asyncio.wait({room, self.said}, timeout=STALLED_S, return_when=asyncio.FIRST_COMPLETED)
        room.cancel()
        if not done:
            raise asyncio.TimeoutError
        is_lost = room in done and room.exception() is not None
        return not is_lost and self.said not in done

    async def end(self, limit_s: float) -> Said:
        """What it said, once it has ended, after it was told that nothing more comes. Raises asyncio.TimeoutError."""
        with contextlib.suppress(OSError):
            self.writer.write_eof()
        return await asyncio.wait_for(asyncio.shield(self.said), limit_s)

    async def let_end(self) -> None:
        """Nothing, once it has ended, or had time enough for that."""
        with contextlib.suppress(asyncio.TimeoutError):
            await self.end(GRACE_S)


@asynccontextmanager
async def delivering(lab: EngineSpawner, plan: ContainerPlan) -> AsyncIterator[Delivery]:
    """A running container, which is gone after the block. `lab` knows the Engine."""
    host = lab.client.create_host_config(**plan.host)
    container = await lab.create(host_config=host, **plan.create)
    async with AsyncExitStack() as last:
        last.push_async_callback(lambda: asyncio.shield(_removed(lab, container)))
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached = await lab.docker("attach_socket", container, streams)
        reader, writer = await asyncio.open_connection(sock=_own(attached))
        last.callback(writer.transport.abort)
        delivery = Delivery(writer, asyncio.ensure_future(_heard(reader)))
        await lab.docker("start", container)
        last.push_async_callback(delivery.let_end)
        yield delivery


def _own(attached: Any) -> socket.socket:
    """The connection as a socket of our own: docker-py closes its one when it forgets the answer."""
    ours = socket.socket(fileno=os.dup(attached.fileno()))
    attached.close()
    ours.setblocking(False)
    return ours


async def _heard(reader: asyncio.StreamReader) -> Said:
    """Both streams. The Engine sends them in frames: which it is of, three empty bytes, its length, and that much."""
    said = {STDOUT: b"", STDERR: b""}
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            stream, length = struct.unpack(">B3xL", await reader.readexactly(8))
            said[stream] = (said[stream] + await reader.readexactly(length))[-LONGEST:]
    return said


async def _removed(lab: EngineSpawner, container: str) -> None:
    """Nothing, once the container is gone, and its name is free."""
    with contextlib.suppress(NotFound):
        try:
            await lab.docker("remove_container", container, v=True, force=True)
        except APIError as error:
            if error.status_code != 409:  # the Engine is removing it already
                raise
            await lab.docker("wait", container, condition="removed")
