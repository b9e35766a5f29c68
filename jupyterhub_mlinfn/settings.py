"""The site's settings: frozen models of mlinfn.yaml, and the only reader of configuration."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from . import settings_errors
from .errors import OperatorError
from .settings_words import Words

MEMORY = re.compile(r"^([1-9]\d*)([KMGT])$")
DURATION = re.compile(r"^([1-9]\d*)([smhd])$")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PORTS = 20  # of an instance, from `port` on
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


def _as_text(value: Any) -> Any:
    """YAML reads 4 as a number; sizes are keys, so keep them as text."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _no_number(value: Any) -> Any:
    """Python reads the number 12 as the network 0.0.0.12/32; nobody means that."""
    if isinstance(value, int):
        raise ValueError("a network is text")
    return value


def _text(pattern: str, words: str) -> Any:
    return Annotated[str, Field(pattern=pattern), Words(words)]


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=40), Words(
    "a short name of small letters, digits and single hyphens or dots, such as lab-ml")]
Memory = _text(MEMORY.pattern, "a size such as 512M or 8G (K, M, G or T, no space)")
CPUs = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^([1-9]\d*(\.\d+)?|0\.\d*[1-9]\d*)$"),
                 Words("a number of CPUs above 0, such as 2 or 0.5")]
Duration = _text(DURATION.pattern, "a duration such as 30m, 2h or 7d (s, m, h or d, no space)")
Title = _text(r"\S", "a text that is not empty")
Reference = _text(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
                  "an image reference such as mlinfn/lab or registry.example.org/group/image:1.0")
URLPath = _text(r"^/\S*$", "a path that begins with /, such as /lab")
Hostname = _text(r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
                 "a host name in small letters without https:// and port, such as hub.example.org")
Instance = _text(r"^[a-z][a-z0-9-]{0,19}$", "up to 20 small letters, digits and hyphens that begin with a letter")
Subnet = Annotated[ipaddress.IPv4Network, BeforeValidator(_no_number)]
ROOT = "an absolute path at least two levels deep, such as /srv/mlinfn"
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


def _twice(values: tuple[str, ...], *at: str) -> Clashes:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (*at, index), f"{value} is in this list already."


class Sizes(Model):
    memory: tuple[Memory, ...] = Field(("2G", "4G", "8G"), min_length=1)
    """Memory sizes that members choose from. The first is preselected."""
    cpus: tuple[CPUs, ...] = Field(("1", "2", "4"), min_length=1)
    """Numbers of CPUs that members choose from. The first is preselected."""

    def clashes(self) -> Clashes:
        yield from _twice(self.memory, "memory")
        yield from _twice(self.cpus, "cpus")


class Image(Model):
    slug: Slug
    """Short name of the profile: in links, in the API, on labels."""
    title: Title
    """What members read on the card."""
    image: Reference
    """Image reference. One without a tag gets the version that install.sh built, or `latest`."""
    description: str = ""
    """One or two sentences under the title. Plain text."""
    icon: str = Field("", max_length=16)
    """One or two characters (an emoji works) instead of the title's initial."""
    tags: tuple[str, ...] = ()
    """Short words shown on the card, such as GPU."""
    groups: tuple[str, ...] = ()
    """Only members of one of these groups see it. Empty: everyone who may log in."""
    memory: tuple[Memory, ...] = ()
    """Memory sizes of this image. Empty: those of `sizes`."""
    cpus: tuple[CPUs, ...] = ()
    """CPU numbers of this image. Empty: those of `sizes`."""
    default: bool = False
    """Preselected for who has not chosen before. Without one, the first that a member sees."""
    default_url: URLPath = "/lab"
    """Where the browser lands: /lab or /tree."""
    idle: Duration | None = None
    """Idle time after which labs of this image stop. Empty: that of `culling`."""

    def clashes(self) -> Clashes:
        yield from _twice(self.memory, "memory")
        yield from _twice(self.cpus, "cpus")


class UnlistedImages(Model):
    groups: tuple[str, ...] = ()
    """Groups whose members may type an image reference. Empty: nobody."""
    pattern: str = ""
    """Regular expression that the whole reference must match. Empty: nothing matches."""

    def clashes(self) -> Clashes:
        try:
            re.compile(self.pattern)
        except re.error as error:
            yield ("pattern",), f"this is {self.pattern!r}, which is not a regular expression: {error}."
        if self.groups and not self.pattern:
            yield ("groups",), "is set, but without a `pattern` no image matches. Write one, such as 'docker\\.io/.+'."


class Culling(Model):
    idle: Duration = "2h"
    """A lab without activity for so long is stopped."""
    max_age: Duration | None = "7d"
    """A lab is stopped at this age, busy or not. Empty: never."""
    stop_busy: bool = False
    """Stop idle labs also while a kernel is busy (a long computation without output looks idle)."""
    memory_idle: dict[Memory, Duration] = {}
    """Shorter or longer idle times for labs of a memory size, such as {32G: 30m}."""


class Starting(Model):
    pull_limit: Duration = "30m"
    """Longest that fetching an image may take."""
    ready_limit: Duration = "2m"
    """Longest from the container's start until the lab answers."""
    at_once: int = Field(8, ge=1, le=64)
    """Containers that are created and started at the same time; others wait their turn."""
    stop_grace: Duration = "10s"
    """Between SIGTERM and SIGKILL when a lab stops."""


class Limits(Model):
    processes: int = Field(2048, ge=64)
    """Processes and threads that one lab may have."""
    log_size: Memory = "10M"
    """Size of one log file of a lab's container; two are kept."""


class Network(Model):
    labs_subnet: Subnet = ipaddress.IPv4Network("172.30.0.0/16")
    """Addresses of the labs. Its first address is the hub's, as labs see it."""
    allow_networks: tuple[Subnet, ...] = ()
    """Private networks that labs may reach, such as the site's storage. All others are blocked."""

    def clashes(self) -> Clashes:
        labs = self.labs_subnet
        if labs.prefixlen > 26:
            yield ("labs_subnet",), f"{labs} is too small: it has to hold every lab. Take a /26 or larger, such as /16."
        if not labs.is_private or labs.is_loopback or labs.is_link_local:
            yield ("labs_subnet",), f"{labs} is not a private network. Take part of 10.0.0.0/8 or 172.16.0.0/12."
        for index, network in enumerate(self.allow_networks):
            yield from _not_allowable(index, network, labs)


def _not_allowable(index: int, network: ipaddress.IPv4Network, labs: ipaddress.IPv4Network) -> Clashes:
    if network.overlaps(labs):
        yield ("allow_networks", index), f"{network} overlaps the labs' own {labs}; labs never reach each other."
    for never, name in (("169.254.0.0/16", "the cloud's metadata address"), ("127.0.0.0/8", "the machine itself")):
        if network.overlaps(ipaddress.IPv4Network(never)):
            yield ("allow_networks", index), f"{network} overlaps {never} ({name}), which labs never reach."


class IDRange(Model):
    first: int = Field(70000, ge=1000, le=2_000_000_000)
    """First number handed out."""
    last: int = Field(89999, ge=1000, le=2_000_000_000)
    """Last number handed out."""

    def clashes(self) -> Clashes:
        if self.first > self.last:
            yield ("last",), f"{self.last} is below `first`, {self.first}."
        elif self.first < SERVICE_UIDS.stop and self.last >= SERVICE_UIDS.start:
            yield ("first",), (f"{self.first} to {self.last} overlaps {SERVICE_UIDS.start} to {SERVICE_UIDS.stop - 1}, "
                               "which our own services have.")


class Settings(Model):
    instance: Instance = "mlinfn"
    """Name of this installation: prefix of its containers, networks and Compose project."""
    root: Annotated[Path, Words(ROOT)] = Path("/srv/mlinfn")
    """Folder of all data and secrets of this instance."""
    port: int = Field(8000, ge=1024, le=65500)
    """The public port. This and the next 19 belong to the instance."""
    host: Hostname = "localhost"
    """Public name. With `localhost`, labs live on NAME.localhost."""
    subdomains: bool = True
    """Each member's lab on a subdomain of its own: pages in one lab cannot act in another."""
    login: Literal["local"] = "local"
    """How people log in. local: a password for each, made with `mlinfn users add`."""
    contact: str = ""
    """Whom members write to: an address or a link, shown on error pages."""
    images: tuple[Image, ...] = ()
    """The images that members pick from, in this order."""
    profile_list: tuple[dict[str, Any], ...] = ()
    """KubeSpawner profiles, pasted as they are, offered after `images`."""
    host_images: tuple[str, ...] = ()
    """Patterns, such as "myteam/*": images that are already on this machine and match are offered as well."""
    unlisted_images: UnlistedImages = UnlistedImages()
    """Who may type an image reference of their own."""
    sizes: Sizes = Sizes()
    """What members choose from where an image does not say."""
    starting: Starting = Starting()
    """Time limits of a start."""
    limits: Limits = Limits()
    """What one lab may take beyond memory and CPUs."""
    culling: Culling = Culling()
    """When labs are stopped."""
    network: Network = Network()
    """Addresses of the labs and what they may reach."""
    uids: IDRange = IDRange()
    """User ids given to members, once and for ever."""


    def clashes(self) -> Clashes:
        if not self.root.is_absolute() or len(self.root.parts) < 3:
            yield ("root",), f"this is {self.root}, but it has to be {ROOT}."
        if self.subdomains and self.host.rpartition(".")[2].isdigit():
            yield ("host",), f"{self.host} is an address, which has no subdomains. Write a name or `subdomains: false`."
        if "-lab-" in f"{self.instance}-":  # a-lab's bob and a's lab-bob would have containers of one name
            yield ("instance",), "`-lab` separates instance and member in names of containers. Choose another name."
        yield from (*self._image_clashes(), *self._idle_clashes())

    def _image_clashes(self) -> Clashes:
        slugs = [image.slug for image in self.images]
        defaults = [index for index, image in enumerate(self.images) if image.default]
        for index, slug in enumerate(slugs):
            if slug in slugs[:index]:
                yield ("images", index, "slug"), f"{slug} is the slug of images[{slugs.index(slug)}] already."
            if slug == "unlisted":
                yield ("images", index, "slug"), "`unlisted` is kept for `unlisted_images`. Take another slug."
        for index in defaults[1:]:
            yield ("images", index, "default"), f"images[{defaults[0]}] is the default already. Keep one of them."

    def _idle_clashes(self) -> Clashes:
        offered = {size for each in (self.sizes, *self.images) for size in each.memory}
        for size in self.culling.memory_idle:
            if size not in offered and not self.profile_list:
                there = ", ".join(sorted(offered, key=bytes_of))
                yield ("culling", "memory_idle", size), f"no lab has {size} of memory. Offered are {there}."


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Where the settings are: `MLINFN_CONFIG`, or config/mlinfn.yaml of the checkout that this is installed from."""
    named = (os.environ if environ is None else environ).get("MLINFN_CONFIG")
    return Path(named) if named else Path(__file__).parent.parent / "config" / "mlinfn.yaml"


def load(path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in a file, by default that of `config_path`. Raises OperatorError with everything that is wrong."""
    path = config_path(environ) if path is None else Path(path)
    if not path.exists():
        raise OperatorError(f"There is no settings file {path.absolute()}. ./install.sh writes one. If yours is "
                            "somewhere else, name it with `--config FILE` or in the variable MLINFN_CONFIG.")
    settings = settings_errors.read(path, Settings)
    if not (settings.images or settings.profile_list or settings.host_images or settings.unlisted_images.groups):
        raise OperatorError(f"{path}:1: images: there is no image to pick. Write at least one:\n\n"
                            "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}")
    return settings
