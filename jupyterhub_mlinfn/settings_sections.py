"""The sections of mlinfn.yaml, each a frozen model."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import Field

from .settings_cvmfs import Repository, View, view_clashes
from .settings_types import (
    SERVICE_UIDS,
    Clashes,
    CPUs,
    Duration,
    GPUSlug,
    Group,
    Issuer,
    Memory,
    Model,
    Reference,
    Slug,
    Subnet,
    Title,
    URLPath,
    twice,
)


class Sizes(Model):
    memory: tuple[Memory, ...] = Field(("2G", "4G", "8G"), min_length=1)
    """Memory sizes that members choose from. The first is preselected."""
    cpus: tuple[CPUs, ...] = Field(("1", "2", "4"), min_length=1)
    """Numbers of CPUs that members choose from. The first is preselected."""

    def clashes(self) -> Clashes:
        yield from twice(self.memory, "memory")
        yield from twice(self.cpus, "cpus")


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
    gpus: bool = True
    """Offer GPUs with this image, where the site lends any."""
    cvmfs: tuple[Repository, ...] = ()
    """Repositories of `cvmfs` that it needs. Its card says when one does not answer."""
    view: View = ""
    """Folder in one of them with a setup.sh, such as a view of an LCG release. Its Python is the lab's first kernel."""

    def clashes(self) -> Clashes:
        yield from twice(self.memory, "memory")
        yield from twice(self.cpus, "cpus")
        yield from view_clashes(self.view, self.cvmfs)


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
    gpu_idle: Duration | None = "1h"
    """The same for labs with a GPU, where that is shorter. Empty: no difference."""
    max_age: Duration | None = "7d"
    """A lab is stopped at this age, busy or not. Empty: never."""
    stop_busy: bool = False
    """Stop idle labs also while a kernel is busy (a long computation without output looks idle)."""
    memory_idle: dict[Memory, Duration] = Field({})
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
    shm: Memory = "1G"
    """Size of /dev/shm, where PyTorch's data loaders work; at most half of the lab's memory, as which it counts."""
    tmp: Memory | None = None
    """Size of a /tmp in the lab's memory, at most a quarter of it. Empty: /tmp is on the disk, without a limit."""


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


    def as_range(self) -> range:
        """The numbers themselves."""
        return range(self.first, self.last + 1)


class IAM(Model):
    issuer: Issuer | None = None
    """Address of the INDIGO IAM, or of another OpenID provider. Every endpoint is found from it."""
    allowed_groups: tuple[Group, ...] = ()
    """Groups whose members may log in. Empty: nobody."""
    admin_groups: tuple[Group, ...] = ()
    """Groups whose members administer the hub; they may log in as well."""
    owner_subject: str | None = None
    """`sub` of one person who may always log in and administer, such as who set this up."""
    scopes: tuple[str, ...] = ("openid", "profile", "email", "offline_access")
    """What is asked for at login. A client with WLCG tokens also needs wlcg.groups."""
    refresh: Duration = "5m"
    """How often everybody with a running lab is looked up again. Who left the groups is out after at most so long."""
    grace: Duration | None = None
    """How long labs of somebody who is out go on. Empty: they are stopped at once."""

    def clashes(self) -> Clashes:
        yield from twice(self.allowed_groups, "allowed_groups")
        yield from twice(self.admin_groups, "admin_groups")
        if "openid" not in self.scopes:
            yield ("scopes",), "`openid` is missing; without it nobody can be recognised."


class GPULimits(Model):
    per_server: int | None = Field(None, ge=0)
    """Most GPUs that one lab of a member may have. Empty: that of `gpus`."""
    per_person: int | None = Field(None, ge=0)
    """Most GPUs that a member may hold. Empty: that of `gpus`."""
    total: int | None = Field(None, ge=0)
    """Most GPUs that all members of the group may hold together. Empty: no limit."""
    classes: dict[GPUSlug, Annotated[int, Field(ge=0)]] = Field({})
    """Most GPUs of a class that a member may hold, such as {h200: 1}."""


class GPUs(Model):
    source: Literal["auto", "nvml", "cdi", "simulated", "none"] = "auto"
    """Where the list of GPUs comes from: the driver (nvml), Docker's device specifications (cdi), or made up, for
    trying out (simulated). auto: the driver, else the specifications, else no GPU is lent."""
    simulated: int = Field(2, ge=1, le=64)
    """How many GPUs to make up, with `source: simulated`."""
    driver: Literal["auto", "cdi", "nvidia"] = "auto"
    """How Docker hands devices to a lab. auto: cdi where Docker knows the devices by it, else nvidia."""
    per_server: int = Field(2, ge=0)
    """Most GPUs that one lab may have."""
    per_person: int = Field(2, ge=0)
    """Most GPUs that one member may hold."""
    classes: dict[GPUSlug, Annotated[int, Field(ge=0)]] = Field({})
    """Most GPUs of a class that one member may hold, such as {h200: 1}."""
    groups: dict[Group, GPULimits] = Field({})
    """Other limits for members of a group. Who is in several has the highest; `total` counts for each."""
    share: dict[GPUSlug, Annotated[int, Field(ge=2, le=64)]] = Field({})
    """Classes whose devices are lent to several labs at a time, such as {t4: 4}. Nothing keeps their memory apart."""
    reserve: tuple[str, ...] = ()
    """UUIDs of devices that are never lent."""
    names: dict[GPUSlug, Title] = Field({})
    """What members read for a class, such as {a100-1g.10gb: "A100, a seventh"}."""
    wait: Duration = "30m"
    """Longest that a start waits in line for a GPU."""
    show_holders: bool = False
    """Who waits sees who holds the GPUs."""

    def clashes(self) -> Clashes:
        yield from twice(self.reserve, "reserve")
        if self.per_server > self.per_person:
            yield ("per_server",), f"{self.per_server} is more than `per_person`, {self.per_person}."
