"""Overrides of spawner traits: which we know, what their values look like, and how they combine.

KubeSpawner's names are the names here, since JupyterHub's own traits and DockerSpawner's agree with them.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import OperatorError
from ..settings import UNITS
from .references import is_image_reference

PLACEHOLDER = "{value}"
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")


def bytes_of(value: Any) -> int:
    """Bytes in "8G", "1.5G" or a whole number. Raises ValueError."""
    match = _MEMORY.fullmatch(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    if not match or len(str(value)) > 20:
        raise ValueError("a size such as 8G")
    return _positive(float(match[1]) * UNITS.get(match[2], 1), "a size such as 8G", int)


def cpus_of(value: Any) -> float:
    """A number of CPUs, such as 2 or 0.5. Raises ValueError."""
    try:
        return _positive(float(value), "a number of CPUs such as 2", float)
    except (TypeError, OverflowError):
        raise ValueError("a number of CPUs such as 2") from None


def _positive(number: float, wanted: str, kind: type) -> Any:
    if not math.isfinite(number) or number <= 0:
        raise ValueError(wanted)
    return kind(number)


def _image(value: Any) -> str:
    if not isinstance(value, str) or not is_image_reference(value):
        raise ValueError("an image reference such as mlinfn/lab:1.0")
    return value


def _a(kind: type | tuple[type, ...], wanted: str):
    def check(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(wanted)
        return value

    return check


_WORDS = _a((str, list, tuple), "a list of words")
KNOWN = {
    "image": _image,
    "mem_limit": bytes_of,
    "mem_guarantee": bytes_of,
    "cpu_limit": cpus_of,
    "environment": _a(dict, "a mapping of names to values"),
    "default_url": _a(str, "a path such as /lab"),
    "cmd": _WORDS,
    "args": _WORDS,
    "start_timeout": _a(int, "a number of seconds"),
    "http_timeout": _a(int, "a number of seconds"),
    "notebook_dir": _a(str, "a path"),
    "disable_user_config": _a(bool, "true or false"),
    "debug": _a(bool, "true or false"),
}
"""Traits that an override may set here, with the check of their values."""


def overrides_of(entry: Mapping[str, Any], path: str, *, typed: bool = False) -> dict[str, Any]:
    """The overrides of a profile or a choice that mean something here, `spawner_override` over `kubespawner_override`.

    Unknown keys of `kubespawner_override` are Kubernetes' own and left out (`foreign_keys` names them);
    in `spawner_override`, which is ours, they are mistakes. Where people type (`typed`), "{value}" stands for the text.
    Raises OperatorError.
    """
    pasted = _mapping(entry, "kubespawner_override", path)
    own = _mapping(entry, "spawner_override", path)
    for key in own:
        if key not in KNOWN:
            raise OperatorError(f"{path}.spawner_override: {key} is not known here.{_nearest(key)}")
    known = {key: value for key, value in pasted.items() if key in KNOWN}
    overrides = merge(known, own)
    for key, value in overrides.items():
        if value is not None and not (typed and isinstance(value, str) and PLACEHOLDER in value):
            _check(key, value, path)
    return overrides


def foreign_keys(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of `kubespawner_override` that only Kubernetes knows."""
    pasted = entry.get("kubespawner_override")
    return tuple(str(key) for key in pasted if key not in KNOWN) if isinstance(pasted, Mapping) else ()


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping: `over` wins, mappings merge at any depth, and None takes a key out."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def fill(template: Any, value: str) -> Any:
    """The same shape with "{value}" replaced in every string, at any depth; other placeholders stay."""
    if isinstance(template, str):
        return template.replace(PLACEHOLDER, value)
    if isinstance(template, Mapping):
        return {fill(key, value): fill(item, value) for key, item in template.items()}
    if isinstance(template, (list, tuple)):
        return [fill(item, value) for item in template]
    return template


def _mapping(entry: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    value = entry.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise OperatorError(f"{path}.{key}: is a mapping of spawner settings to values.")
    return value


def _check(key: str, value: Any, path: str) -> None:
    if callable(value):
        raise OperatorError(f"{path}: {key} is a function; only plain values can be offered.")
    try:
        KNOWN[key](value)
    except ValueError as error:
        raise OperatorError(f"{path}: {key} is {error}, not {str(value)[:60]!r}.") from None


def _nearest(key: Any) -> str:
    near = get_close_matches(str(key), KNOWN, n=1)
    return f" Did you mean {near[0]}?" if near else f" Known are: {', '.join(KNOWN)}."
