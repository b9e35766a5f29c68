"""What an image reference looks like: the grammar of distribution/reference, which Docker uses."""

from __future__ import annotations

import re

LONGEST = 512
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,128})?"
)
_BARE_ID = re.compile(r"[a-f0-9]{64}")


def is_image_reference(text: str) -> bool:
    """Whether Docker would take this as the name of an image, with or without a tag or a digest."""
    if len(text) > LONGEST or _BARE_ID.fullmatch(text):
        return False
    match = _REFERENCE.fullmatch(text)
    return match is not None and len(match["name"]) <= 255
