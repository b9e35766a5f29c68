"""A TCP relay on loopback that slows down, cuts or answers in place of what is behind it."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import threading
import time

CLONE_NEWNET = 0x40000000
CHUNK = 64 * 1024


BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n" \
         b'{"message": "no thanks"}'  # fmt: skip
"""A Docker daemon's answer when something inside it fails."""


def _enter(netns: str) -> None:
    """This thread's new sockets are in that network namespace; other threads stay where they are."""
    with open(netns) as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {netns} failed")


class Relay:
    """Passes connections on to `target`; what comes back is limited to `bytes_per_s` in all (None: no limit).

    With `netns`, such as /proc/4711/ns/net, the target is looked for in that network namespace.
    """

    def __init__(self, target: tuple[str, int] | str, listen: tuple[str, int] | str,
                 bytes_per_s: int | None = None, netns: str | None = None):  # fmt: skip
        self.target, self.bytes_per_s, self.netns = target, bytes_per_s, netns
        self.answer: bytes | None = None
        """While set, every new request gets this answer, and the target hears nothing."""
        family = socket.AF_UNIX if isinstance(listen, str) else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(listen)
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1] if family == socket.AF_INET else None
        self.pace = threading.Lock()
        self._in_thread(self._accept)

    def stop(self) -> None:
        """Accept no more connections."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _in_thread(self, work, *arguments) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self._in_thread(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        if self.netns:
            _enter(self.netns)
        with contextlib.suppress(OSError), near, socket.socket(family, socket.SOCK_STREAM) as far:
            far.connect(self.target)
            forth = self._in_thread(self._forth, near, far)
            try:
                self._back(far, near)
            finally:  # before the sockets are closed: their numbers come again, and it would read the next connection
                for end in (near, far):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                forth.join()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(CHUNK):
                if self.answer is not None:
                    near.sendall(self.answer)
                    near.shutdown(socket.SHUT_RDWR)
                    break
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        while data := far.recv(CHUNK):
            if self.bytes_per_s:
                with self.pace:
                    time.sleep(len(data) / self.bytes_per_s)
            near.sendall(data)
