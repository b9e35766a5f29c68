"""The profile list of this site: its short `images:` list, the profiles it pasted, and the typed image."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from .profiles import slug_of
from .references import is_image_reference

UNLISTED_PROFILE = "unlisted"
ROOM_PROFILE = "room"


def profile_list_of(settings: Any) -> list[dict[str, Any]]:
    """KubeSpawner-shaped profiles of anything with `images`, `profile_list`, `unlisted_images` and `sizes`."""
    short = [_of_image(image, settings.sizes) for image in settings.images]
    unlisted = [_unlisted(settings.unlisted_images, settings.sizes)] if settings.unlisted_images.groups else []
    return [*short, *(dict(profile) for profile in settings.profile_list), *unlisted]


def host_profiles(patterns: Iterable[str], references: Iterable[str], settings: Any) -> list[dict[str, Any]]:
    """Profiles of the images on the host that match one of the patterns and are not in the list yet, by name."""
    listed = {image.image for image in settings.images}
    matching = {name for name in references if any(fnmatchcase(name, pattern) for pattern in patterns)}
    return [_of_host(name, settings.sizes) for name in sorted(matching - listed) if is_image_reference(name)]


def room_profile(room: Any) -> dict[str, Any]:
    """The profile of a room: anything with `title`, `image`, `memory` and `cpus`."""
    return {
        "slug": ROOM_PROFILE,
        "display_name": room.title,
        "spawner_override": {"image": room.image},
        "profile_options": _size_options([room.memory], [room.cpus]),
    }


def _of_image(image: Any, sizes: Any) -> dict[str, Any]:
    profile = {
        "slug": image.slug,
        "display_name": image.title,
        "description": image.description,
        "icon": image.icon,
        "tags": list(image.tags),
        "default": image.default,
        "gpus": image.gpus,
        "spawner_override": {"image": image.image, "default_url": image.default_url},
        "profile_options": _size_options(image.memory or sizes.memory, image.cpus or sizes.cpus),
    }
    return {**profile, "groups": list(image.groups)} if image.groups else profile


def _of_host(reference: str, sizes: Any) -> dict[str, Any]:
    """A profile of one local image. The digest keeps slugs apart that would read the same."""
    apart = hashlib.sha256(reference.encode()).hexdigest()[:6]
    return {
        "slug": f"{slug_of(reference)[:40].strip('-')}-{apart}",
        "display_name": reference,
        "description": "An image that is on this machine.",
        "tags": ["local"],
        "spawner_override": {"image": reference},
        "profile_options": _size_options(sizes.memory, sizes.cpus),
    }


def _unlisted(unlisted: Any, sizes: Any) -> dict[str, Any]:
    """The profile whose image is typed. An empty pattern matches nothing, so that forgetting it opens nothing."""
    free = {
        "enabled": True,
        "display_name": "Image reference",
        "validation_regex": unlisted.pattern or r"(?!)",
        "validation_message": f"This site allows images that match {unlisted.pattern}" if unlisted.pattern else "",
        "spawner_override": {"image": "{value}"},
    }
    return {
        "slug": UNLISTED_PROFILE,
        "display_name": "Another image",
        "description": "Type the full reference of a container image that has jupyterhub-singleuser in it.",
        "icon": "…",
        "groups": list(unlisted.groups),
        "profile_options": {
            "image": {"display_name": "Image", "unlisted_choice": free},
            **_size_options(sizes.memory, sizes.cpus),
        },
    }


def _size_options(memory: Iterable[str], cpus: Iterable[str]) -> dict[str, Any]:
    return {
        "memory": {"display_name": "Memory", "choices": {size: _memory(size) for size in memory}},
        "cpus": {"display_name": "CPUs", "choices": {number: _cpus(number) for number in cpus}},
    }


def _memory(size: str) -> dict[str, Any]:
    return {"display_name": re.sub(r"([KMGT])$", r" \1B", size), "spawner_override": {"mem_limit": size}}


def _cpus(number: str) -> dict[str, Any]:
    return {"display_name": number, "spawner_override": {"cpu_limit": float(number)}}
