"""The images that members are offered: which are ours to build, which come from a registry, and what is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import __version__, options, rooms
from ..errors import UserError
from ..references import OURS, with_tag
from ..settings import Settings
from .site import CHECKOUT

FLAVOURS = {__version__: "cuda", f"{__version__}-no-torch": "none"}
"""Tags that `images/build` gives -> PyTorch of a lab-ml with that tag. Only lab-ml has more than one."""
LABEL = "org.opencontainers.image.version"


@dataclass(frozen=True)
class Offered:
    """One image, and as what members see it."""

    image: str
    """The reference with its tag."""
    slugs: tuple[str, ...]
    found: Mapping[str, Any] | None = None
    """`docker image inspect`, if it is on this machine."""

    @property
    def is_ours(self) -> bool:
        """Whether this checkout builds it."""
        return self.image.startswith(OURS)

    @property
    def version(self) -> str:
        """What its label says; empty without one."""
        config = (self.found or {}).get("Config") or {}
        return (config.get("Labels") or {}).get(LABEL, "")

    def as_data(self) -> dict[str, Any]:
        """For programs. Sizes are in bytes, as Docker counts them: with the layers that images share."""
        found = self.found or {}
        return {"image": self.image, "slugs": list(self.slugs), "ours": self.is_ours, "here": self.found is not None,
                "size": found.get("Size"), "created": found.get("Created"), "version": self.version or None}


def references(settings: Settings, local: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Reference with tag -> slugs of its profiles, in the order of the picker, and accounts of the rooms that have it.

    `local` are the images on the host.
    """
    listed = options.profile_list_of(settings)
    listed += options.host_profiles(settings.host_images, local, settings) if settings.host_images else []
    found: dict[str, tuple[str, ...]] = {}
    for profile in options.parse_profiles(listed):
        for image in _images_of(profile):
            full = with_tag(image, __version__)
            found[full] = tuple(dict.fromkeys([*found.get(full, ()), profile.slug]))
    for room in rooms.rooms_of(settings):
        full = with_tag(room.image, __version__)
        found[full] = (*found.get(full, ()), room.account)
    return found


def _images_of(profile: options.Profile) -> Iterator[str]:
    """The image of a profile, and those that its options put in its place."""
    parts = [profile.overrides, *(pick.overrides for option in profile.options for pick in option.picks)]
    return (part["image"] for part in parts if part.get("image"))


def to_pull(settings: Settings, names: Sequence[str]) -> list[str]:
    """References that come from a registry: all that are offered, or those named. Raises UserError."""
    there = [image for image in references(settings) if not image.startswith(OURS)]
    wanted = [with_tag(name, __version__) for name in names]
    for name in wanted:
        if name.startswith(OURS):
            raise UserError(f"{name} is in no registry; it is built here: mlinfn images build")
        if name not in there:
            raise UserError(f"{name} is not offered. From a registry come: {', '.join(there) or 'none'}.")
    return wanted or there


def to_build(settings: Settings, names: Sequence[str], torch: str | None) -> dict[str, list[str]]:
    """PyTorch -> names of images of this checkout: those that are offered, or those named. Raises UserError.

    Without `torch`, lab-ml gets that of the tag which is offered.
    """
    offered = [image.removeprefix(OURS).partition(":") for image in references(settings) if image.startswith(OURS)]
    flavours = {name: FLAVOURS.get(tag) for name, _, tag in offered}
    if unknown := [name for name in names or flavours if name not in buildable()]:
        raise UserError(f"There is no image {unknown[0]} in this checkout. There is: {', '.join(buildable())}.")
    if strange := [name for name, flavour in flavours.items() if not names and flavour is None]:
        raise UserError(f"mlinfn.yaml offers {strange[0]} with a tag that is not built here. Write {OURS}{strange[0]}.")
    plan: dict[str, list[str]] = {}
    for name in names or flavours:
        plan.setdefault(torch or flavours.get(name) or "cuda", []).append(name)
    return plan


def buildable() -> list[str]:
    """Names of the images that this checkout has the recipes of."""
    return sorted(path.parent.name for path in (CHECKOUT / "images").glob("*/Dockerfile"))
