"""Choice: what one person picked, checked against what is offered to them, whichever way it came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UserError
from .offers import GPUS, Offer
from .profiles import UNLISTED, FreeText, Option, Profile
from .references import LONGEST, is_image_reference
from .traits import KNOWN, bytes_of, cpus_of, fill, merge

_FREE = f"--{UNLISTED}"
_FORM_ONLY = {"_xsrf"}


@dataclass(frozen=True)
class Choice:
    """One checked pick. An empty `image`, or None as `memory` or `cpus`, means that the spawner's own setting holds."""

    profile: str
    title: str
    image: str
    memory: int | None
    cpus: float | None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Other traits of the spawner to values, such as environment, default_url or cmd; a fresh copy."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The plain keys of everything chosen, defaults included: what the API would send to get the same."""

    @property
    def gpus(self) -> str:
        """The GPUs asked for, in words of the contract."""
        return self.words.get(GPUS, "0")


def from_form(formdata: Mapping[str, list[Any]]) -> dict[str, str]:
    """The plain keys in KubeSpawner's form fields: shape only, no judgement.

    `{"profile": ["lab"], "profile-option-lab--memory": ["4G"]}` gives `{"profile": "lab", "memory": "4G"}`. Fields of
    other cards are dropped, because without JavaScript a browser sends them all; unknown fields stay, to be refused.
    """
    fields = {name: _joined(values) for name, values in formdata.items() if name not in _FORM_ONLY}
    prefix = f"profile-option-{fields.get('profile', '')}--"
    plain = {}
    for name, value in fields.items():
        if name.startswith(prefix):
            plain[name.removeprefix(prefix)] = value
        elif not name.startswith("profile-option-"):
            plain[name] = value
    return _settle_free_text(plain)


def parse(user_options: Mapping[str, Any], offer: Offer) -> Choice:
    """The choice that these plain keys make. Keys that are absent take the default. Raises UserError."""
    if not isinstance(user_options, Mapping):
        raise UserError("Spawn options are a mapping of names to values, such as {\"profile\": \"lab\"}.")
    profile = _chosen_profile(user_options, offer)
    _refuse_unknown(user_options, profile)
    overrides, words = profile.overrides, {"profile": profile.slug}
    for option in profile.options:
        over, said = _chosen(option, user_options, profile)
        overrides, words = merge(overrides, over), {**words, **said}
    return _choice(profile, merge({}, overrides), words)


def _chosen_profile(user_options: Mapping[str, Any], offer: Offer) -> Profile:
    if not offer.profiles:
        raise UserError("No image is offered to you. Ask whoever looks after this service to add you to a group.")
    if "profile" not in user_options:
        return offer.default
    profile = offer.profile(_word(user_options["profile"]) or "")
    if profile is None:
        asked, offered = _shown(user_options["profile"]), _list(p.slug for p in offer.profiles)
        raise UserError(f"{asked} is not an image that is offered to you. Choose one of: {offered}.")
    return profile


def _refuse_unknown(user_options: Mapping[str, Any], profile: Profile) -> None:
    known = ["profile"]
    for option in profile.options:
        known += [option.key] * bool(option.picks) + [option.key + _FREE] * bool(option.free)
    if GPUS not in known and GPUS in user_options:
        _refuse_gpus(user_options[GPUS], profile)
    unknown = [key for key in user_options if key not in (*known, GPUS)]
    if unknown:
        raise UserError(f"{profile.title} has no option {_list(map(_shown, unknown[:3]))}. It takes: {_list(known)}.")


def _refuse_gpus(asked: Any, profile: Profile) -> None:
    """Asking for none is right everywhere, so that what was said once may be said again."""
    if _word(asked) != "0":
        why = "There is none that you may have" if profile.gpus else f"{profile.title} is offered without"
        raise UserError(f"GPUs {_shown(asked)} cannot be had. {why}: ask for 0.")


def _chosen(option: Option, user_options: Mapping[str, Any], profile: Profile) -> tuple[dict[str, Any], dict[str, str]]:
    """The overrides and the plain keys of one option, as it was asked for."""
    if option.free and option.key + _FREE in user_options:
        if option.key in user_options:
            raise UserError(f"Give either {option.key} or {option.key + _FREE}, not both.")
        text = _checked_text(option, option.free, user_options[option.key + _FREE])
        return fill(option.free.overrides, text), {option.key + _FREE: text}
    if option.key not in user_options and option.default:
        return dict(option.default.overrides), {option.key: option.default.key}
    if not option.picks:
        raise UserError(f"{option.title} is needed for {profile.title}: type it.")
    asked = user_options.get(option.key)
    pick = next((pick for pick in option.picks if pick.key == _word(asked)), None)
    if pick is None:
        offered = _list(pick.key for pick in option.picks)
        raise UserError(f"{option.title} {_shown(asked)} is not offered for {profile.title}. Choose one of: {offered}.")
    return dict(pick.overrides), {option.key: pick.key}


def _checked_text(option: Option, free: FreeText, asked: Any) -> str:
    """The text that was typed, if it may be. What it is for decides what it must look like too."""
    text = asked.strip() if isinstance(asked, str) else ""
    if not text or len(text) > LONGEST or not text.isprintable():
        raise UserError(f"{option.title} {_shown(asked)} does not do: one line of text, at most {LONGEST} characters.")
    if not re.fullmatch(free.pattern, text):
        rule = free.message or f"It must match {free.pattern}"
        raise UserError(f"{option.title} {_shown(text)} is not allowed. {rule}")
    for trait, template in free.overrides.items():
        _check_filled(option, trait, fill(template, text), text)
    return text


def _check_filled(option: Option, trait: str, value: Any, text: str) -> None:
    if trait == "image" and not is_image_reference(value):
        raise UserError(
            f"{_shown(text)} is not an image reference. Write it like docker.io/library/debian:13, in small letters."
        )
    try:
        KNOWN[trait](value)
    except ValueError as error:
        raise UserError(f"{option.title} {_shown(text)} does not do: it must be {error}.") from None


def _choice(profile: Profile, overrides: dict[str, Any], words: dict[str, str]) -> Choice:
    image, memory, cpus = (overrides.pop(key, None) for key in ("image", "mem_limit", "cpu_limit"))
    return Choice(
        profile=profile.slug,
        title=profile.title,
        image=image or "",
        memory=None if memory is None else bytes_of(memory),
        cpus=None if cpus is None else cpus_of(cpus),
        overrides=overrides,
        words=words,
    )


def _joined(values: Any) -> str:
    """One text. A field that came twice becomes a text that is never offered, and uploads become nothing."""
    texts = [values] if isinstance(values, str) else [value for value in values if isinstance(value, str)]
    return ", ".join(texts)


def _settle_free_text(plain: dict[str, str]) -> dict[str, str]:
    """Without texts beside which another choice was taken, and without the word that points to a text."""
    settled = dict(plain)
    for name in [name for name in plain if name.endswith(_FREE)]:
        key = name.removesuffix(_FREE)
        if plain.get(key) == UNLISTED:
            del settled[key]
        elif key in plain:
            del settled[name]
    return settled


def _word(value: Any) -> str | None:
    """A key as text: numbers count (4 CPUs), nothing else does."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.15g}" if abs(value) < 10**15 else None
    return value if isinstance(value, str) else None


def _shown(value: Any) -> str:
    """What was asked, short and on one line, to be repeated in a sentence."""
    if isinstance(value, (Mapping, list, tuple)):
        return "(a list or mapping)"
    if isinstance(value, int) and abs(value) >= 10**15:
        return "(a huge number)"
    text = "".join(char if char.isprintable() else "?" for char in str(value)[:61])
    return text[:60] + "…" if len(text) > 60 else text or "(empty)"


def _list(words: Any) -> str:
    return ", ".join(words)
