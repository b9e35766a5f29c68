"""The four made-up people of `login: demo`, and what their identity service needs on the host."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import files, login, passwords
from .errors import OperatorError, UserError
from .settings import DEMO_GROUP, Settings

UID = 69002
COST, BLOCK, LANES = 16384, 8, 1
"""Of scrypt: 16 MB and about 50 ms for each try."""


class MadeUp(NamedTuple):
    """Somebody who does not exist."""

    name: str
    groups: tuple[str, ...]
    what: str
    """What becomes of them at the hub."""


PEOPLE: Mapping[str, MadeUp] = {
    "demo-member": MadeUp("Demo Member", (DEMO_GROUP,), "logs in and starts labs"),
    "demo-keeper": MadeUp("Demo Keeper", (DEMO_GROUP, login.DEMO_KEEPERS), "is an admin as well"),
    "demo-other": MadeUp("Demo Other", ("other",), "is in another group, and refused"),
    "demo-nobody": MadeUp("Demo Nobody", (), "is in no group, and refused"),
}


def give_passwords(settings: Settings, *, renew: bool) -> dict[str, str]:
    """User name -> new password of those who had none, or with `renew` of all. Raises UserError without a demo."""
    if settings.login != "demo":
        raise UserError(f"There are no demo people here: `login` is {settings.login}.")
    if not people_file(settings).is_file():
        raise OperatorError("The demo people are not there yet. Make them with: sudo mlinfn prepare")
    people = read(settings)
    new = {name: passwords.generated() for name in PEOPLE if renew or not people[name]["hash"]}
    if new:
        write(settings, {name: {**each, "hash": hashed(new[name]) if name in new else each["hash"]}
                         for name, each in people.items()})  # fmt: skip
    return new


def people_file(settings: Settings) -> Path:
    """Where the demo people are, for the demo's own uid alone."""
    return settings.root / "secrets" / "demo" / "people.json"


def read(settings: Settings) -> dict[str, dict[str, Any]]:
    """The demo people by user name. Raises OperatorError if the file is not as we wrote it."""
    try:
        people = json.loads(people_file(settings).read_text())
        return {name: people[name] for name in PEOPLE}
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{people_file(settings)} is not right. Remove it, then run: mlinfn up") from error


def write(settings: Settings, people: Mapping[str, Mapping[str, Any]]) -> None:
    """These are the demo people from now on; the service sees it at the next login."""
    files.replace(people_file(settings), json.dumps(people, indent=2) + "\n", owner=UID)


def hashed(password: str) -> str:
    """The password as the demo identity service compares it."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=LANES)
    return f"scrypt${COST}${BLOCK}${LANES}${salt.hex()}${key.hex()}"


def check_switch(settings: Settings, config: Path) -> None:
    """Nothing, if no real person would be locked out. Raises OperatorError where people with passwords were added."""
    if settings.login != "demo" or people_file(settings).is_file():
        return
    if people := passwords.read(settings.root / "hub" / "passwords.json"):
        names = ", ".join(sorted(people)[:5]) + (" ..." if len(people) > 5 else "")
        raise OperatorError(f"{config} says `login: demo`, but people with passwords of their own log in here: "
                            f"{names}. Write `login: local` to keep them.")


def ground(settings: Settings) -> list[str]:
    """The folder of the demo's tokens and its four people, made once; sentences about what had to be done."""
    if settings.login != "demo":
        return []
    done = []
    folder = settings.root / "demo"
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        done.append(f"Made {folder}.")
    os.chown(folder, UID, UID)
    folder.chmod(0o700)
    if not people_file(settings).is_file():
        write(settings, {name: _person(name, who) for name, who in PEOPLE.items()})
        done.append("Made four demo people; `mlinfn demo passwords` gives them passwords and prints them.")
    return done


def _person(user_name: str, who: MadeUp) -> dict[str, Any]:
    """As the service reads it. Nobody logs in without a hash."""
    return {"hash": "", "sub": str(uuid.uuid4()), "name": who.name, "email": f"{user_name}@example.org",
            "groups": who.groups}  # fmt: skip
