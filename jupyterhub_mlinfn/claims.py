"""What the claims of a person mean here: a user name, groups, how they are called. Pure.

Claims come from outside, so every value is checked for its type, length and characters; what is not right is left out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from . import passwords
from .errors import UserError
from .settings_types import GROUP

MOST_GROUPS = 500
LONGEST_GROUP = 255  # JupyterHub's column
LONGEST_TEXT = 200
COLORS = ("#1f6fb4", "#b4541f", "#2a7d3f", "#a8323e", "#6b4fa3", "#7a5a3a", "#a83c82", "#4d6b1f", "#0f7378", "#8a6100",
          "#33508f", "#8c2f6b", "#3f6f5a", "#9c4221", "#5b5f97", "#5f6368")  # fmt: skip
"""Colours of people's cursors: each can be told from the paper, and white initials can be read on it."""

Claims = Mapping[str, Any]


def user_name(claims: Claims) -> str:
    """The name that the person has here, in its one spelling. Raises UserError if nobody can be called so."""
    name = claims.get("preferred_username")
    if not isinstance(name, str):
        raise UserError("The identity service gives no user name (`preferred_username`). Its client for this service "
                        "needs the scope `profile`.", reason="name")
    return passwords.check_name(name)


def subject(claims: Claims) -> str:
    """Who the claims are about, or "" if that cannot be told."""
    sub = claims.get("sub")
    return sub if isinstance(sub, str) and 0 < len(sub) <= LONGEST_GROUP and sub.isprintable() else ""


def groups(claims: Claims) -> tuple[str, ...]:
    """Full paths of the person's groups without a slash in front, each once, at most MOST_GROUPS.

    IAM has them in `groups`, or in `wlcg.groups` for clients with WLCG tokens: `{"wlcg.groups": ["/cms", "/cms/ml"]}`
    gives `("cms", "cms/ml")`. What is not a group's name is left out.
    """
    named = (*_listed(claims.get("groups")), *_listed(claims.get("wlcg.groups")))
    plain = (value.removeprefix("/") for value in named if isinstance(value, str) and len(value) <= LONGEST_GROUP)
    return tuple(dict.fromkeys(name for name in plain if GROUP.fullmatch(name)))[:MOST_GROUPS]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def full_name(claims: Claims) -> str:
    """How the person is called: `name`, or given and family name, or "" if there is none."""
    parts = (_text(claims.get("given_name")), _text(claims.get("family_name")))
    return _text(claims.get("name")) or " ".join(filter(None, parts))


def user_info(claims: Claims, name: str) -> dict[str, str]:
    """What JupyterHub passes on to JupyterLab: `{"name": ..., "display_name": ..., "initials": ..., "color": ...}`."""
    called = full_name(claims) or name
    return {"name": called, "display_name": called, "initials": initials(called), "color": color(name)}


def color(name: str) -> str:
    """The colour of the person with this user name, the same at each login, such as #1f6fb4."""
    return COLORS[hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[0] % len(COLORS)]


def initials(called: str) -> str:
    """First letters of the first and the last word, such as AR for Anna Maria Rossi."""
    words = [word for word in called.replace("-", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in (*words[:1], *words[1:][-1:])).upper()[:2]


def git_user(claims: Claims) -> dict[str, str]:
    """Keys of git's section `user` that are known: name, email."""
    email = _text(claims.get("email"))
    known = {"name": full_name(claims), "email": email if "@" in email and " " not in email else ""}
    return {key: value for key, value in known.items() if value}


def _text(value: Any) -> str:
    """A short text of one line, or "" for anything else."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return ""
    text = unicodedata.normalize("NFC", " ".join(value.split()))
    return text if text.isprintable() else ""
