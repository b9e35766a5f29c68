"""Profiles: KubeSpawner's `profile_list`, checked once and frozen.

`groups` (and 2i2c's `allowed_groups`) on a profile, a choice or an `unlisted_choice` limit who sees it: absent means
everybody who may log in, an empty list nobody. Overrides inside these values are never edited: see `traits.merge`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import OperatorError
from .traits import foreign_keys, overrides_of

_SLUG = re.compile(r"(?!.*--)[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_LIMITS = {"groups", "allowed_groups"}
_OVERRIDES = {"kubespawner_override", "spawner_override"}
_PROFILE_KEYS = _LIMITS | _OVERRIDES | {
    "display_name", "description", "slug", "default", "profile_options", "icon", "tags", "gpus",
}  # fmt: skip
_OPTION_KEYS = {"display_name", "choices", "unlisted_choice", "dynamic_image_building"}
_PICK_KEYS = _LIMITS | _OVERRIDES | {"display_name", "description", "default"}
_FREE_KEYS = _LIMITS | _OVERRIDES | {
    "enabled", "display_name", "display_name_in_choices", "validation_regex", "validation_message",
}  # fmt: skip
_OURS = {"profile": "names the profile itself", "gpus": "is for the GPUs that the site lends"}
UNLISTED = "unlisted-choice"
"""What KubeSpawner's form sends as the choice when the text field beside it counts."""

Groups = frozenset[str] | None
"""Who may pick something. None: everybody who may log in."""


@dataclass(frozen=True)
class Pick:
    """One choice of an option, such as "8G" of memory."""

    key: str
    title: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False
    groups: Groups = None


@dataclass(frozen=True)
class FreeText:
    """A text that may be typed instead of a choice."""

    title: str
    title_in_choices: str = "Other…"
    pattern: str = ".*"
    message: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    groups: Groups = None


@dataclass(frozen=True)
class Option:
    """Something to choose on a card. It has picks, or free text, or both."""

    key: str
    title: str
    picks: tuple[Pick, ...] = ()
    free: FreeText | None = None

    @property
    def default(self) -> Pick | None:
        """The pick for who did not say; None where only a text will do."""
        return next((pick for pick in self.picks if pick.default), self.picks[0] if self.picks else None)


@dataclass(frozen=True)
class Profile:
    """One card of the picker."""

    slug: str
    title: str
    description: str = ""
    icon: str = ""
    tags: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False
    groups: Groups = None
    gpus: bool = True
    """False: no GPU with this image."""
    notes: tuple[str, ...] = ()
    """What is wrong at the moment with something that it needs."""


def parse_profiles(profile_list: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> tuple[Profile, ...]:
    """The profiles of a KubeSpawner list, or of its newer mapping from slug to profile. Raises OperatorError."""
    profiles = tuple(_profile(entry, path) for path, entry in _entries(profile_list))
    seen: set[str] = set()
    for profile in profiles:
        if profile.slug in seen:
            raise OperatorError(f"profile_list: the slug {profile.slug} is there twice; each profile needs its own.")
        seen.add(profile.slug)
    return profiles


def ignored_keys(profile_list: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Names of overrides in the list that only Kubernetes knows, sorted, for one warning at start."""
    found = {key for _, entry in _entries(profile_list) for part in _parts(entry) for key in foreign_keys(part)}
    return tuple(sorted(found))


def slug_of(title: str) -> str:
    """A slug made of a title, as KubeSpawner makes it: lower case, ASCII, dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:63].strip("-")


def _entries(profile_list: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if isinstance(profile_list, Mapping):
        return [(f"profile_list.{slug}", {"slug": slug, **_entry(entry, f"profile_list.{slug}", None)})
                for slug, entry in sorted(profile_list.items())]  # fmt: skip
    if isinstance(profile_list, str) or not isinstance(profile_list, Sequence):
        raise OperatorError("profile_list: is a list of profiles.")
    return [(f"profile_list[{n}]", _entry(entry, f"profile_list[{n}]", None)) for n, entry in enumerate(profile_list)]


def _parts(entry: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Every mapping of a profile that may hold overrides, in a list that may be broken."""
    yield entry
    for option in _mappings(entry.get("profile_options")):
        yield from _mappings({"unlisted_choice": option.get("unlisted_choice")})
        yield from _mappings(option.get("choices"))


def _mappings(entry: Any) -> list[Mapping[str, Any]]:
    """The values of a mapping that are mappings themselves."""
    return [value for value in entry.values() if isinstance(value, Mapping)] if isinstance(entry, Mapping) else []


def _profile(entry: Mapping[str, Any], path: str) -> Profile:
    _entry(entry, path, _PROFILE_KEYS)
    title = _text(entry, "display_name", path)
    if not title:
        raise OperatorError(f"{path}.display_name: is missing; it is what members read on the card.")
    options = _entry(entry.get("profile_options") or {}, f"{path}.profile_options", None)
    return Profile(
        slug=_slug(_text(entry, "slug", path) or slug_of(title), f"{path}.slug"),
        title=title,
        description=_text(entry, "description", path),
        icon=_text(entry, "icon", path),
        tags=_words(entry.get("tags") or (), f"{path}.tags"),
        options=tuple(_option(str(key), option, f"{path}.profile_options.{key}") for key, option in options.items()),
        overrides=overrides_of(entry, path),
        default=bool(entry.get("default")),
        groups=_groups(entry, path),
        gpus=_yes_or_no(entry.get("gpus", True), f"{path}.gpus"),
    )


def _option(key: str, entry: Any, path: str) -> Option:
    _entry(entry, path, _OPTION_KEYS)
    _slug(key, path)
    if key in _OURS:
        raise OperatorError(f"{path}: an option cannot be called {key}; that word {_OURS[key]}.")
    choices = _entry(entry.get("choices") or {}, f"{path}.choices", None)
    picks = tuple(_pick(str(name), pick, f"{path}.choices.{name}") for name, pick in choices.items())
    free = _free(entry.get("unlisted_choice"), f"{path}.unlisted_choice")
    if not picks and not free:
        raise OperatorError(f"{path}: offers nothing; give it choices, or an enabled unlisted_choice.")
    return Option(key, _text(entry, "display_name", path) or key, picks, free)


def _pick(key: str, entry: Any, path: str) -> Pick:
    if key == UNLISTED:
        raise OperatorError(f"{path}: {UNLISTED} is a word of the form; call the choice something else.")
    _entry(entry, path, _PICK_KEYS)
    title = _text(entry, "display_name", path) or key
    return Pick(key, title, overrides_of(entry, path), bool(entry.get("default")), _groups(entry, path))


def _free(entry: Any, path: str) -> FreeText | None:
    if not entry or not _entry(entry, path, _FREE_KEYS).get("enabled"):
        return None
    pattern = _text(entry, "validation_regex", path) or ".*"
    try:
        re.compile(pattern)
    except re.error as error:
        raise OperatorError(f"{path}.validation_regex: is not a regular expression: {error}.") from None
    return FreeText(
        title=_text(entry, "display_name", path) or "Other",
        title_in_choices=_text(entry, "display_name_in_choices", path) or "Other…",
        pattern=pattern,
        message=_text(entry, "validation_message", path),
        overrides=overrides_of(entry, path, typed=True),
        groups=_groups(entry, path),
    )


def _entry(entry: Any, path: str, known: set[str] | None) -> Mapping[str, Any]:
    """The same mapping, refused if it is none or has keys that are not known: a typo in `groups` must not open it."""
    if not isinstance(entry, Mapping):
        raise OperatorError(f"{path}: is a mapping, not {str(entry)[:60]!r}.")
    unknown = [str(key) for key in entry if known is not None and key not in known]
    if unknown:
        raise OperatorError(f"{path}: {', '.join(unknown)} is not known here. Known are: {', '.join(sorted(known))}.")
    return entry


def _text(entry: Mapping[str, Any], key: str, path: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise OperatorError(f"{path}.{key}: is a text, not {str(value)[:60]!r}.")
    return str(value).strip()


def _yes_or_no(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise OperatorError(f"{path}: is true or false, not {str(value)[:60]!r}.")
    return value


def _slug(slug: str, path: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise OperatorError(f"{path}: {slug!r} does not do; use letters, digits, single dashes, dots, up to 64.")
    return slug


def _words(value: Any, path: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
        raise OperatorError(f"{path}: is a list of words, not {str(value)[:60]!r}.")
    return tuple(value)


def _groups(entry: Mapping[str, Any], path: str) -> Groups:
    named = [_words(entry[key], f"{path}.{key}") for key in sorted(_LIMITS) if entry.get(key) is not None]
    return frozenset().union(*named) if named else None
