"""Access tokens in labs: a file for each lab on the tmpfs run/, bound into the lab by its folder.

The folder belongs to root and is bound read-only, so nothing that a member plants is ever followed by the hub; the file
belongs to the member alone. WLCG Bearer Token Discovery (doi:10.5281/zenodo.3937438) says where programs look for it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .errors import OperatorError
from .identity import Person, escape
from .volumes import Mount

TARGET = "/run/mlinfn"
"""The folder in the lab."""
TOKEN = "bearer_token"
GITCONFIG = "gitconfig"
ENVIRONMENT = {"BEARER_TOKEN_FILE": f"{TARGET}/{TOKEN}", "GIT_CONFIG_SYSTEM": f"{TARGET}/{GITCONFIG}"}
"""What points programs in the lab to the files."""


def folder(root: Path, person: Person, server: str = "") -> Path:
    """Where the files of one lab are on the host."""
    return root / "run" / "labs" / (f"{person.safe_name}--{escape(server)}" if server else person.safe_name)


def mount(root: Path, person: Person, server: str = "") -> Mount:
    """The folder as the lab sees it."""
    return Mount(str(folder(root, person, server)), TARGET, read_only=True)


def write(root: Path, person: Person, server: str, token: str) -> None:
    """The lab's token is this one, in one step: readers find the old token or the new. Raises OperatorError."""
    _put(root, person, server, TOKEN, token)


def write_gitconfig(root: Path, person: Person, server: str, who: dict[str, str]) -> None:
    """Git in the lab knows name and e-mail of its member (`who`: keys of git's section `user`), below what they set."""
    lines = ["[include]\n\tpath = /etc/gitconfig\n", *(["[user]\n"] if who else [])]
    lines += [f"\t{key} = {_quoted(value)}\n" for key, value in who.items()]
    _put(root, person, server, GITCONFIG, "".join(lines))


def remove(root: Path, person: Person, server: str = "") -> None:
    """Nothing of the lab's token is left."""
    shutil.rmtree(folder(root, person, server), ignore_errors=True)


def prune(root: Path, keep: frozenset[Path]) -> tuple[Path, ...]:
    """The folders that were removed because no lab in `keep` has them."""
    labs = root / "run" / "labs"
    lost = tuple(each for each in labs.iterdir() if each not in keep) if labs.is_dir() else ()
    for each in lost:
        shutil.rmtree(each, ignore_errors=True)
    return lost


def _put(root: Path, person: Person, server: str, name: str, text: str) -> None:
    place = folder(root, person, server)
    try:
        place.parent.mkdir(mode=0o755, exist_ok=True)
        place.mkdir(mode=0o755, exist_ok=True)
        temporary = place / f".{name}.new"
        with open(temporary, "w", opener=_private) as file:
            os.fchown(file.fileno(), person.uid, person.uid)
            os.fchmod(file.fileno(), 0o400)
            file.write(text)
        os.replace(temporary, place / name)
    except OSError as error:
        raise OperatorError(f"The file {name} cannot be written in {place}: {error.strerror}.") from error


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _quoted(value: str) -> str:
    """A value as git reads it: in quotes, without what would end the line or the quotes."""
    plain = "".join(character for character in value if character.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
