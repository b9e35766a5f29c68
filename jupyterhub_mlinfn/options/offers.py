"""Offer: what one person may pick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .profiles import Groups, Option, Pick, Profile

GPUS = "gpus"
"""Key of the option that the site adds where it lends GPUs."""


@dataclass(frozen=True)
class Offer:
    """The profiles that one person may pick, in the site's order, each with only the choices open to them."""

    profiles: tuple[Profile, ...] = ()
    notes: tuple[str, ...] = ()
    """What is wrong at the moment, whatever is picked."""

    @property
    def default(self) -> Profile | None:
        """The profile for who did not say; None if there is none to pick."""
        return next((p for p in self.profiles if p.default), self.profiles[0] if self.profiles else None)

    def profile(self, slug: str) -> Profile | None:
        """The profile with this slug, if it is offered."""
        return next((p for p in self.profiles if p.slug == slug), None)


def offer(profiles: Iterable[Profile], groups: Iterable[str]) -> Offer:
    """What a member of these groups may pick.

    A profile with an option of which nothing is left is left out: without the option its limits would be gone too.
    """
    mine = frozenset(groups)
    narrowed = (_narrow(profile, mine) for profile in profiles if _open(profile.groups, mine))
    return Offer(tuple(profile for profile in narrowed if all(o.picks or o.free for o in profile.options)))


def with_gpus(profiles: Iterable[Profile], picks: Sequence[tuple[str, str]]) -> tuple[Profile, ...]:
    """The profiles, those that may have GPUs with the option of these keys and titles, the default first."""
    option = Option(GPUS, "GPUs", tuple(Pick(key, title) for key, title in picks))
    return tuple(replace(each, options=(*each.options, option)) if each.gpus and option.picks else each
                 for each in profiles)  # fmt: skip


def _open(groups: Groups, mine: frozenset[str]) -> bool:
    return groups is None or bool(groups & mine)


def _narrow(profile: Profile, mine: frozenset[str]) -> Profile:
    return replace(profile, options=tuple(_narrow_option(option, mine) for option in profile.options))


def _narrow_option(option: Option, mine: frozenset[str]) -> Option:
    picks = tuple(pick for pick in option.picks if _open(pick.groups, mine))
    free = option.free if option.free and _open(option.free.groups, mine) else None
    return replace(option, picks=picks, free=free)
