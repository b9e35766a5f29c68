"""The site's settings: frozen models of mlinfn.yaml, and the only reader of configuration."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SLUG = r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$"
MEMORY = re.compile(r"^(\d+)([KMGT])$")
DURATION = re.compile(r"^(\d+)([smhd])$")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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


Slug = Annotated[str, Field(pattern=SLUG)]
Memory = Annotated[str, Field(pattern=MEMORY.pattern)]
CPUs = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d+(\.\d+)?$")]
Duration = Annotated[str, Field(pattern=DURATION.pattern)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Sizes(Model):
    memory: tuple[Memory, ...] = Field(("2G", "4G", "8G"), min_length=1)
    """Memory sizes that members choose from. The first is preselected."""
    cpus: tuple[CPUs, ...] = Field(("1", "2", "4"), min_length=1)
    """Numbers of CPUs that members choose from. The first is preselected."""


class Image(Model):
    slug: Slug
    """Short name of the profile: in links, in the API, on labels."""
    title: str
    """What members read on the card."""
    image: str
    """Image reference. One without a tag gets the version that install.sh built, or `latest`."""
    description: str = ""
    """One or two sentences under the title. Plain text."""
    icon: str = ""
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
    default_url: str = "/lab"
    """Where the browser lands: /lab or /tree."""
    idle: Duration | None = None
    """Idle time after which labs of this image stop. Empty: that of `culling`."""


class UnlistedImages(Model):
    groups: tuple[str, ...] = ()
    """Groups whose members may type an image reference. Empty: nobody."""
    pattern: str = ""
    """Regular expression that the whole reference must match. Empty: nothing matches."""


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
    labs_subnet: ipaddress.IPv4Network = ipaddress.IPv4Network("172.30.0.0/16")
    """Addresses of the labs. Its first address is the hub's, as labs see it."""
    allow_networks: tuple[ipaddress.IPv4Network, ...] = ()
    """Private networks that labs may reach, such as the site's storage. All others are blocked."""


class IDRange(Model):
    first: int = Field(70000, ge=1000)
    """First number handed out."""
    last: int = Field(89999, le=2**31)
    """Last number handed out."""


class Settings(Model):
    instance: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")] = "mlinfn"
    """Name of this installation: prefix of its containers, networks and Compose project."""
    root: Path = Path("/srv/mlinfn")
    """Folder of all data and secrets of this instance."""
    port: int = Field(8000, ge=1024, le=65500)
    """The public port. This and the next 19 belong to the instance."""
    host: str = "localhost"
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


def load(path: Path, environ: dict[str, str] | None = None) -> Settings:
    """The settings in a file. Raises OperatorError with all errors at once."""
    from ruamel.yaml import YAML

    return Settings.model_validate(YAML(typ="safe").load(Path(path).read_text()) or {})
