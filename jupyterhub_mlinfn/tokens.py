"""Access tokens in labs: a file for each lab on the tmpfs run/, bound into the lab by its folder.

The folder belongs to root and is bound read-only, so nothing that a member plants is ever followed by the hub; the file
belongs to the member alone. WLCG Bearer Token Discovery (doi:10.5281/zenodo.3937438) says where programs look for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import files
from .errors import OperatorError
from .identity import Person, escape
from .volumes import Mount

TARGET = "/run/mlinfn"
"""The folder in the lab."""
TOKEN = "bearer_token"
GITCONFIG = "gitconfig"
ENVIRONMENT = {"BEARER_TOKEN_FILE": f"{TARGET}/{TOKEN}", "GIT_CONFIG_SYSTEM": f"{TARGET}/{GITCONFIG}"}
"""What points programs in the lab to the files."""
LONGEST = 200
"""Characters of a name or an address that git is told."""


def folder(root: Path, person: Person, server: str = "") -> Path:
    """Where the files of one lab are on the host. Safe names hold no dot, so no two labs share a folder."""
    return root / "run" / "labs" / (f"{person.safe_name}.{escape(server)}" if server else person.safe_name)


def mount(root: Path, person: Person, server: str = "") -> Mount:
    """The folder as the lab sees it."""
    return Mount(str(folder(root, person, server)), TARGET, read_only=True)


def write(root: Path, person: Person, server: str, token: str) -> bool:
    """True if the lab had another token or none. Done in one step: readers find the old token or the new.

    Raises OperatorError.
    """
    return _put(root, person, server, TOKEN, token)


def write_gitconfig(root: Path, person: Person, server: str, who: Mapping[str, str]) -> bool:
    """True if git in the lab knew something else of its member (`who`: keys of git's section `user`)."""
    return _put(root, person, server, GITCONFIG, gitconfig(who))


def gitconfig(who: Mapping[str, str]) -> str:
    """The system's configuration of git: the image's own, then the member, both below what the member sets.

    {"name": "Anna Rossi"} gives, after the image's own, `[user]` and `name = "Anna Rossi"`.
    """
    keys = [f"\t{key} = {_quoted(value[:LONGEST])}\n" for key, value in who.items()]
    return "".join(["[include]\n\tpath = /etc/gitconfig\n", *(["[user]\n"] if keys else []), *keys])


def remove(place: Path) -> None:
    """Nothing is left of the files of the lab that has this folder."""
    shutil.rmtree(place, ignore_errors=True)


def prune(root: Path, keep: frozenset[Path]) -> tuple[Path, ...]:
    """The folders that were removed because no lab in `keep` has them."""
    labs = root / "run" / "labs"
    lost = tuple(each for each in labs.iterdir() if each not in keep) if labs.is_dir() else ()
    for each in lost:
        remove(each)
    return lost


def _put(root: Path, person: Person, server: str, name: str, text: str) -> bool:
    place = folder(root, person, server)
    try:
        _make(place.parent)
        _make(place)
        return files.replace_if_changed(place / name, text, mode=0o400, owner=person.uid)
    except OSError as error:
        raise OperatorError(f"The file {name} cannot be written in {place}: {error.strerror}.") from error


def _make(place: Path) -> None:
    """The folder is there, not a link to another, and everybody in the lab may look into it, whatever the umask."""
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(opened, 0o755)
    finally:
        os.close(opened)


def _quoted(value: str) -> str:
    """A value as git reads it: in quotes, without what would end the line or the quotes."""
    plain = "".join(character for character in value if character.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
