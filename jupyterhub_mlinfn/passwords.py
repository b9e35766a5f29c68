"""The people of `login: local`: one JSON file of argon2id hashes, groups and who is an admin.

    {"anna": {"hash": "$argon2id$...", "admin": true, "groups": ["cms"]}}

Who is not in the file does not exist. Every change is made under a lock and replaces the whole file, so the hub, which
reads it at each login, and two people at two terminals can all use it at once.
"""

from __future__ import annotations

import functools
import json
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from . import files
from .errors import OperatorError, UserError
from .settings_rooms import ACCOUNT

LONGEST_NAME = 200
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads like something else

HASHER = PasswordHasher()


@dataclass(frozen=True)
class Person:
    """Somebody who may log in."""

    hash: str
    admin: bool = False
    groups: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Person(admin={self.admin}, groups={self.groups})"


People = Mapping[str, Person]


def normalise(name: str) -> str:
    """The one spelling of a name: without outer spaces, in lower case as JupyterHub has it, accents composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).lower())


def check_name(name: str) -> str:
    """The name in its one spelling. Raises UserError with a sentence if nobody can have it."""
    name = normalise(name)
    if not name:
        raise UserError("The user name is empty.", reason="name")
    if len(name) > LONGEST_NAME:
        raise UserError(f"The user name has {len(name)} characters; at most {LONGEST_NAME} work.", reason="name")
    if "/" in name:
        raise UserError("A user name cannot have a slash (/) in it.", reason="name")
    if not name.isprintable():
        raise UserError("A user name cannot have control characters or invisible ones in it.", reason="name")
    if set(unquote(name)) == {"."}:
        raise UserError("A user name cannot consist of dots only.", reason="name")
    if name.startswith(ACCOUNT):
        raise UserError(f"A user name cannot begin with {ACCOUNT}: such names are those of rooms.", reason="name")
    return name


def check_group(group: str) -> str:
    """The group's name as it is. Raises UserError if no group can be called so."""
    if not group or group != group.strip() or not group.isprintable():
        raise UserError(f"{group!r} is not a group name: it is empty, or has spaces around it or invisible characters.")
    return group


def check_password(password: str) -> str:
    """The password as it is. Raises UserError if it is too short to resist guessing, or absurdly long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; this one has "
                        f"{len(password)}.", reason="password")
    return password


def generated() -> str:
    """A password of about 99 bits that can be read aloud: four groups of five characters."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its own salt and parameters. Takes about 50 ms and 64 MiB."""
    return HASHER.hash(password)


def matches(person: Person | None, password: str) -> bool:
    """True if it is that person's password. Takes as long for nobody (None) as for somebody, and answers False."""
    try:
        return HASHER.verify(person.hash if person else _nobodys_hash(), password) and person is not None
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    return hashed(secrets.token_hex())


def read(path: Path) -> People:
    """Everybody in the file, by name; nobody if there is no file. Raises OperatorError if it is not such a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        return {name: _person(entry) for name, entry in json.loads(text).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OperatorError(f"{path} is not a file of people any more ({type(error).__name__}). Put a copy back from "
                            "the backup, or remove it and add everybody again with `mlinfn users add NAME`.") from None


def _person(entry: Mapping) -> Person:
    return Person(hash=str(entry["hash"]), admin=entry["admin"] is True, groups=tuple(map(str, entry["groups"])))


def change(path: Path, edit: Callable[[People], People]) -> People:
    """Everybody after `edit`, which gets the people in the file and returns those who shall be in it."""
    with files.locked(path):
        people = edit(read(path))
        entries = {name: asdict(person) for name, person in sorted(people.items())}
        files.replace(path, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return people


def added(people: People, name: str, person: Person) -> People:
    """The people and one more. Raises UserError if the name is taken."""
    if name in people:
        raise UserError(f"{name} exists already. For a new password: mlinfn users password {name}", reason="name")
    return {**people, name: person}


def removed(people: People, name: str) -> People:
    """The people without that one. Raises UserError if there is nobody of that name."""
    known(people, name)
    return {other: person for other, person in people.items() if other != name}


def with_hash(people: People, name: str, new: str) -> People:
    """The people, one of them with a new password's hash. Raises UserError if there is nobody of that name."""
    return {**people, name: replace(known(people, name), hash=new)}


def known(people: People, name: str) -> Person:
    """The person of that name. Raises UserError, naming those who are there, if nobody has it."""
    if name not in people:
        there = ", ".join(sorted(people)[:20]) or "nobody"
        raise UserError(f"There is nobody called {name}. There is: {there}.", reason="name")
    return people[name]
