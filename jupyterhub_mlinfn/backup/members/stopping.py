"""Ends from outside what a thread waits for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

End = Callable[[], object]


class Stop:
    """Asked for once, for all that is begun and for all that would be begun after."""

    def __init__(self) -> None:
        self.is_asked = False
        self._lock = threading.Lock()
        self._ends: list[End] = []

    def ask(self) -> None:
        """All of it ends."""
        with self._lock:
            self.is_asked = True
            for end in self._ends:
                self._call(end)

    @contextlib.contextmanager
    def ends(self, end: End) -> Iterator[None]:
        """What happens in the block is ended by `end`."""
        with self._lock:
            self._ends.append(end)
            if self.is_asked:
                self._call(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    @staticmethod
    def _call(end: End) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            end()
