"""References of images: which are ours, and what one without a tag means."""

from __future__ import annotations

OURS = "mlinfn/"
"""Repositories of the images that are built on this machine, and never fetched."""


def with_tag(image: str, version: str) -> str:
    """The reference in full: images of ours without a tag mean this version, those of others `latest`."""
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image
    return f"{image}:{version if image.startswith(OURS) else 'latest'}"
