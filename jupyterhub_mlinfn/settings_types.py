"""What the values of settings are made of: sizes, durations, names; and the base of their models."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from . import settings_errors
from .settings_words import Words

MEMORY = re.compile(r"^([1-9]\d*)([KMGT])$")
DURATION = re.compile(r"^([1-9]\d*)([smhd])$")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SERVICE_UIDS = range(69000, 70000)
"""Uids of our own services, never of a member."""


def bytes_of(size: str) -> int:
    """Bytes in a size such as "8G" (powers of 1024, as JupyterHub and Docker count)."""
    number, unit = MEMORY.match(size).groups()
    return int(number) * UNITS[unit]


def seconds_of(duration: str) -> int:
    """Seconds in a duration such as "30m", "2h" or "7d"."""
    number, unit = DURATION.match(duration).groups()
    return int(number) * SECONDS[unit]


def as_text(value: Any) -> Any:
    """Text for a number, anything else as it is: YAML reads 4 as a number; sizes are keys, so keep them as text."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def without_slash(value: Any) -> Any:
    """The one spelling of a group: WLCG tokens write /ml-infn for what IAM calls ml-infn."""
    return value.removeprefix("/") if isinstance(value, str) else value


def no_number(value: Any) -> Any:
    """Python reads the number 12 as the network 0.0.0.12/32; nobody means that."""
    if isinstance(value, int):
        raise ValueError("a network is text")
    return value


def text_like(pattern: str, words: str) -> Any:
    """A type: text that matches, and how error messages describe it."""
    return Annotated[str, Field(pattern=pattern), Words(words)]


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=40), Words(
    "a short name of small letters, digits and single hyphens or dots, such as lab-ml")]
GPUSlug = text_like(r"^[a-z0-9]+([.-][a-z0-9]+)*$", "a class of GPUs such as t4; `mlinfn gpus` lists them")
Memory = text_like(MEMORY.pattern, "a size such as 512M or 8G (K, M, G or T, no space)")
CPUs = Annotated[str, BeforeValidator(as_text), Field(pattern=r"^([1-9]\d*(\.\d+)?|0\.\d*[1-9]\d*)$"),
                 Words("a number of CPUs above 0, such as 2 or 0.5")]
Duration = text_like(DURATION.pattern, "a duration such as 30m, 2h or 7d (s, m, h or d, no space)")
Title = text_like(r"\S", "a text that is not empty")
Reference = text_like(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
                  "an image reference such as mlinfn/lab or registry.example.org/group/image:1.0")
URLPath = text_like(r"^/\S*$", "a path that begins with /, such as /lab")
Hostname = text_like(r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
                 "a host name in small letters without https:// and port, such as hub.example.org")
Instance = text_like(r"^[a-z][a-z0-9-]{0,19}$", "up to 20 small letters, digits and hyphens that begin with a letter")
GROUP = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$")
Group = Annotated[str, BeforeValidator(without_slash), Field(pattern=GROUP.pattern, max_length=255), Words(
    "a group such as ml-infn or ml-infn/keepers; one slash in front does not matter")]
Issuer = text_like(r"^(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1)(:\d+)?)(/[^\s?#]*)?$",
                   "an address such as https://iam.example.org (http only on this machine itself)")
Subnet = Annotated[ipaddress.IPv4Network, BeforeValidator(no_number)]
ROOT_WORDS = "an absolute path at least two levels deep, such as /srv/mlinfn"
WHICH_KIND = ("[word]", "[list]")
"""How pydantic is told to mark, in paths of errors, the kind of a value that may be a word or a list."""
Clashes = Iterator[tuple[tuple[str | int, ...], str]]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def clashes(self) -> Clashes:
        """Values that are right one by one but not together: their path from here, and a sentence."""
        yield from ()

    @model_validator(mode="after")
    def _fits_together(self):
        if found := list(self.clashes()):
            context = {"found": found, "text": " ".join(text for _, text in found)}
            raise PydanticCustomError(settings_errors.CONTRADICTIONS, "{text}", context)
        return self


def overlap(one: PurePath, other: PurePath | str) -> bool:
    """Whether the two are the same path, or one lies in the other."""
    return one.is_relative_to(other) or PurePath(other).is_relative_to(one)


def twice(values: tuple[str, ...], *at: str) -> Clashes:
    """A clash for each value that stands in the list a second time."""
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (*at, index), f"{value} is in this list already."
