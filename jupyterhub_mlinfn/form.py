"""The image picker: an Offer as HTML, with the last choice or a link's wishes filled in.

A link (`/hub/spawn?opt-profile=lab&opt-memory=4G`) only fills in. JupyterHub would start a server for it; what stops
that is `refuse_query`, called by the spawner's `options_from_query`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Environment, FileSystemLoader

from .gpus import Shown
from .options import Offer, Option, Profile
from .options.offers import GPUS

TEMPLATES = Path(__file__).parent / "templates"
LOGO = TEMPLATES / "mlinfn" / "logo.svg"
FREE = "--unlisted-choice"
_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)


@dataclass(frozen=True)
class Filled:
    """What the form shows as chosen: a profile, and for each profile its plain keys."""

    profile: str
    words: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...] = ()
    """Sentences about what a link asked for and does not get."""


class PrefillOnly(Exception):
    """Ends JupyterHub's attempt to start a server for a link; the form is drawn instead, with no error in it."""

    jupyterhub_message = ""


def render(offer: Offer, last: Mapping[str, Any], query: Mapping[str, list[str]], contact: str = "",
           gpus: Shown | None = None) -> str:  # fmt: skip
    """The picker's HTML, to go inside the hub's own form. Never empty: an empty form would start a server.

    `last` are the plain keys of the last start, `query` those of a link; both may be stale, wrong or hostile.
    """
    filled = fill(offer, last, query)
    return _environment.get_template("mlinfn/picker.html").render(
        offer=offer, filled=filled, linked=bool(query), contact=contact, free=FREE, gpus=gpus
    )


def fill(offer: Offer, last: Mapping[str, Any], query: Mapping[str, list[str]]) -> Filled:
    """What to show as chosen: the link's wishes over the last choice over the defaults."""
    words = {profile.slug: _words(profile, last) for profile in offer.profiles}
    if not offer.profiles:
        return Filled("", words)
    remembered = offer.profile(_text(last.get("profile"))) or offer.default
    wishes = {key: values[-1] for key, values in query.items() if values}
    profile, notes = _linked_profile(offer, remembered, wishes)
    granted, refused = _linked_words(profile, wishes)
    words[profile.slug] = {**words[profile.slug], **granted}
    return Filled(profile.slug, words, (*notes, *refused))


def linked(handler: Any) -> dict[str, list[str]]:
    """The wishes in the address of the page that is being drawn; none when a form was sent."""
    if handler is None or handler.request.method != "GET":
        return {}
    arguments = handler.request.query_arguments.items()
    return {
        name.removeprefix("opt-"): [value.decode("utf-8", "replace") for value in values]
        for name, values in arguments
        if name.startswith("opt-")
    }


def refuse_query(log: logging.Logger) -> NoReturn:
    """Refuse to take a link as an order. JupyterHub logs that as an error with a traceback, which it is not."""
    log.addFilter(_is_not_prefill)
    raise PrefillOnly


def _is_not_prefill(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], PrefillOnly))


def _words(profile: Profile, last: Mapping[str, Any]) -> dict[str, str]:
    """The plain keys to show on a card: what was chosen last where it is still offered, else the default.

    GPUs and typed texts are remembered on the card that they were chosen on: with another image they may not be meant.
    """
    words: dict[str, str] = {}
    for option in profile.options:
        if option.key == GPUS and last.get("profile") != profile.slug:
            words[GPUS] = option.default.key
            continue
        typed = _text(last.get(option.key + FREE))
        if option.free and typed and last.get("profile") == profile.slug:
            words[option.key + FREE] = typed
        elif option.picks:
            words[option.key] = _offered(option, _text(last.get(option.key))) or option.default.key
    return words


def _linked_profile(offer: Offer, remembered: Profile, wishes: Mapping[str, str]) -> tuple[Profile, tuple[str, ...]]:
    if "profile" not in wishes:
        return remembered, ()
    profile = offer.profile(wishes["profile"])
    if profile is None:
        return remembered, (f"The link asks for the image {_short(wishes['profile'])}, which is not offered to you.",)
    return profile, ()


def _linked_words(profile: Profile, wishes: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What of the link this profile grants, and a sentence for each thing that it does not."""
    options = {option.key: option for option in profile.options}
    granted, refused = {}, []
    for key, value in wishes.items():
        if key == "profile":
            continue
        if key.endswith(FREE):
            refused.append("A link cannot carry a typed text, such as an image reference; type it if you trust it.")
        elif key in options and _offered(options[key], value):
            granted[key] = value
        else:
            refused.append(f"The link asks for {_short(key)} {_short(value)}, which {profile.title} does not offer.")
    return granted, refused


def _offered(option: Option, key: str) -> str:
    return key if any(pick.key == key for pick in option.picks) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _short(text: str) -> str:
    return text[:60] + "…" if len(text) > 60 else text
