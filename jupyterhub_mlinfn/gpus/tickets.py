"""The line's memory: tickets in hub/gpus.sqlite, so that a restart of the hub costs nobody their place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OperatorError
from .line import Ticket
from .request import Request

KEPT_S = 15 * 60
"""How long a place is kept for who stopped asking without leaving the line: a restart of the hub does that to all."""
BETWEEN_SIGNS_S = 60
"""How often the book hears that places are still wanted."""
_OLDEST_SIGN_S = 3 * BETWEEN_SIGNS_S
"""How old the last sign may be when the hub is killed: while Docker hangs, one is a minute late or two."""
_TABLE = """CREATE TABLE IF NOT EXISTS tickets (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, server TEXT NOT NULL,
    count INTEGER NOT NULL, slug TEXT NOT NULL, since REAL NOT NULL, seen REAL NOT NULL, UNIQUE (user, server))"""


class Tickets:
    """One place in line for each server. Numbers only grow, also after a restart."""

    def __init__(self, path: Path | str):
        self.path = path if str(path) == ":memory:" else Path(path)
        self._memory = sqlite3.connect(":memory:", isolation_level=None) if str(path) == ":memory:" else None

    def take(self, who: tuple[str, str], request: Request, slugs: frozenset[str], now: float) -> Ticket:
        """The place of this server: that of before if it asks for the same within 15 minutes, else the last one.

        What counts are the 15 minutes after it was last waited for, of which the book heard a little earlier.
        """
        user, server = who
        with self._book() as book:
            book.execute("DELETE FROM tickets WHERE seen < ?", (now - KEPT_S - _OLDEST_SIGN_S,))
            book.execute("DELETE FROM tickets WHERE user = ? AND server = ? AND (count, slug) IS NOT (?, ?)",
                         (user, server, request.count, request.slug))  # fmt: skip
            book.execute("INSERT INTO tickets (user, server, count, slug, since, seen) VALUES (?, ?, ?, ?, ?, ?)"
                         " ON CONFLICT (user, server) DO UPDATE SET seen = excluded.seen",
                         (user, server, request.count, request.slug, now, now))  # fmt: skip
            row = book.execute("SELECT number, since FROM tickets WHERE user = ? AND server = ?", (user, server))
            number, since = row.fetchone()
        return Ticket(number, user, server, request, since, slugs)

    def keep(self, numbers: Iterable[int], now: float) -> None:
        """These places are still wanted."""
        with self._book() as book:
            book.executemany("UPDATE tickets SET seen = ? WHERE number = ?", [(now, number) for number in numbers])

    def leave(self, user: str, server: str) -> None:
        """The place of this server is free for good."""
        with self._book() as book:
            book.execute("DELETE FROM tickets WHERE user = ? AND server = ?", (user, server))

    @contextmanager
    def _book(self) -> Iterator[sqlite3.Connection]:
        try:
            book = self._memory or sqlite3.connect(self.path, timeout=10, isolation_level=None)
            try:
                book.execute(_TABLE)
                book.execute("BEGIN IMMEDIATE")
                yield book
                book.execute("COMMIT")
            finally:
                if book.in_transaction:
                    book.execute("ROLLBACK")
                if not self._memory:
                    book.close()
        except sqlite3.Error as error:
            raise OperatorError(f"The line's book, {self.path}, cannot be used: {error}.") from error
