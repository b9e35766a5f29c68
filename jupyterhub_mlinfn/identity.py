"""Who somebody is on this machine, kept in hub/identity.sqlite: user name -> safe name and uid, group -> gid, handed
out once; and user name -> subject, the person at the identity service who had the name first."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .errors import OperatorError, UserError

LONGEST = 63
"""Longest label in a host name (RFC 1035, 2.3.4); folders, containers and passwd entries allow more."""

PLAIN = re.compile(r"[a-z]([a-z0-9]|-(?!-)){0,30}(?<!-)")
"""Names that stay as they are. Without a double hyphen, so that none looks like an escaped one."""

RESERVED = frozenset({"root", "nobody", "localhost", "hub", "www", "users", "shared", "groups"})
"""Plain names that mean something else somewhere: in /etc/passwd, as a subdomain, as a folder."""


def escape(name: str) -> str:
    """A name for containers, folders, mounts, subdomains and passwd entries: [a-z0-9-], at most 63 characters.

    Different names give different results: a plain name (see PLAIN) is kept, any other becomes what can be read of
    it, `--`, and 96 bits of its SHA-256. `Anna Rossi` -> `anna-rossi--` and 24 hexadecimal digits.
    """
    if PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: LONGEST - 26].rstrip("-")
    return f"{readable or 'u'}--{digest}" if (readable or "u")[0].isalpha() else f"u-{readable[:35]}--{digest}"


@dataclass(frozen=True)
class Group:
    """A group that shares a folder. Nested groups are groups of their own: their safe names stand side by side."""

    name: str
    safe_name: str
    gid: int

    @property
    def folder(self) -> str:
        """Path of the group's folder inside a lab."""
        return f"/groups/{self.safe_name}"


@dataclass(frozen=True)
class Person:
    """A member, or a room, as the container knows them. `uid` is None where the image's own user is used."""

    name: str
    safe_name: str
    uid: int | None = None
    groups: tuple[Group, ...] = ()
    place: str = ""
    """Path of the home folder where that is not /home/NAME."""

    @property
    def home(self) -> str:
        """Path of the home folder inside the lab."""
        return self.place or f"/home/{self.safe_name}"


class Identities:
    """The book of uids and gids. A number is never given to a second name, also after its first owner is gone.

    Every call opens the file anew: the command line on the host and the hub write to the same one.
    """

    def __init__(self, path: Path | str, uids: range, gids: range):
        self.path, self.uids, self.gids = Path(path), uids, gids

    def person(self, name: str, groups: Iterable[str] = ()) -> Person:
        """The member of that name and these groups, each with the number of old or, for a new name, the next free one.

        Raises OperatorError if a range is used up or the file cannot be written.
        """
        with _book(self.path) as book:
            book.execute("BEGIN IMMEDIATE")
            uid = _number(book, "users", name, self.uids)
            known = tuple(Group(each, escape(each), _number(book, "groups", each, self.gids)) for each in groups)
        return Person(name, escape(name), uid, known)


def known(path: Path, name: str, groups: Iterable[str] = ()) -> Person:
    """The member as the book has them, for who may only read it: without a uid, or a group, that it does not know.

    Raises OperatorError if it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)) as book:
            uids, gids = (dict(book.execute(f"SELECT name, {number} FROM {table}"))
                          for table, number in (("users", "uid"), ("groups", "gid")))  # fmt: skip
    except sqlite3.Error as error:
        raise OperatorError(f"The book of names and uids, {path}, cannot be read: {error}.") from error
    found = tuple(Group(each, escape(each), gids[each]) for each in groups if each in gids)
    return Person(name, escape(name), uids.get(name), found)


def _number(book: sqlite3.Connection, table: str, name: str, numbers: range) -> int:
    """The number of the name in this table (users: uids, groups: gids), handed out now if it has none."""
    column = {"users": "uid", "groups": "gid"}[table]
    row = book.execute(f"SELECT {column} FROM {table} WHERE name = ?", (name,)).fetchone()
    if row:
        return row[0]
    (highest,) = book.execute(f"SELECT max({column}) FROM {table}").fetchone()
    number = max(numbers.start, (highest or 0) + 1)
    if number not in numbers:
        raise OperatorError(f"All {column}s from {numbers.start} to {numbers.stop - 1} are handed out. "
                            f"Raise `{column}s.last`.")  # fmt: skip
    book.execute(f"INSERT INTO {table} (name, {column}) VALUES (?, ?)", (name, number))
    return number


class Subjects:
    """Which person at an identity service has which user name. Names there can change hands; homes here must not.

    A name that the keeper took from its person stays in the book as nobody's: a book that was lost says less than that.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def claim(self, name: str, issuer: str, subject: str) -> None:
        """Nothing if this person had the name first, or has it from now on. Raises UserError if it is another's."""
        with _book(self.path) as book:
            book.execute("BEGIN IMMEDIATE")
            book.execute("DELETE FROM subjects WHERE name = ? AND subject = ''", (name,))
            book.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?)", (name, issuer, subject))
        self.check(name, issuer, subject)

    def check(self, name: str, issuer: str, subject: str) -> None:
        """Nothing if the name is not another's, nor was taken from this person by the keeper. Raises UserError."""
        with _book(self.path) as book:
            row = book.execute("SELECT issuer, subject FROM subjects WHERE name = ?", (name,)).fetchone()
        if row not in (None, (issuer, subject)):
            raise UserError(f"The user name {name} belongs to another person on this service, whose files it opens. "
                            "If that was you under an earlier account, the keeper can hand the name over.",
                            reason="subject")  # fmt: skip

    def names(self) -> frozenset[str]:
        """All names that are somebody's, or were."""
        with _book(self.path) as book:
            return frozenset(name for (name,) in book.execute("SELECT name FROM subjects"))

    def forget(self, name: str) -> bool:
        """True if the name was somebody's; whoever logs in with it next has it."""
        with _book(self.path) as book:
            changed = "UPDATE subjects SET issuer = '', subject = '' WHERE name = ? AND subject != ''"
            return book.execute(changed, (name,)).rowcount > 0


@contextmanager
def _book(path: Path) -> Iterator[sqlite3.Connection]:
    """The open book. Raises OperatorError if it cannot be used."""
    try:
        with _opened(path) as book:
            yield book
    except sqlite3.Error as error:
        raise OperatorError(f"The book of names and uids, {path}, cannot be used: {error}.") from error


class _opened:
    """A connection with the tables in place; committed and closed at the block's end, rolled back on an error."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> sqlite3.Connection:
        self.book = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        self.path.chmod(0o600)
        self.book.execute("CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, uid INTEGER UNIQUE NOT NULL)")
        self.book.execute("CREATE TABLE IF NOT EXISTS groups (name TEXT PRIMARY KEY, gid INTEGER UNIQUE NOT NULL)")
        self.book.execute("CREATE TABLE IF NOT EXISTS subjects"
                          " (name TEXT PRIMARY KEY, issuer TEXT NOT NULL, subject TEXT NOT NULL)")  # fmt: skip
        return self.book

    def __exit__(self, kind, value, traceback) -> None:
        if self.book.in_transaction:
            self.book.execute("ROLLBACK" if kind else "COMMIT")
        self.book.close()
