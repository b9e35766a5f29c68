"""The site's settings: frozen models of mlinfn.yaml, and the only reader of configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from . import settings_errors
from .errors import OperatorError
from .hosts import is_address
from .settings_backup import Backup, backup_clashes
from .settings_cvmfs import CVMFS, image_clashes
from .settings_monitoring import Monitoring
from .settings_rooms import Rooms, room_clashes
from .settings_sections import IAM, Culling, GPUs, IDRange, Image, Limits, Network, Sizes, Starting, UnlistedImages
from .settings_storage import Storage
from .settings_tls import TLS, tls_clashes
from .settings_types import (
    ROOT_WORDS,
    UNITS,
    Clashes,
    Group,
    Hostname,
    Instance,
    Model,
    bytes_of,
    overlap,
    seconds_of,
    twice,
)
from .settings_words import Words

__all__ = ["CVMFS", "UNITS", "Backup", "GPUs", "Image", "Limits", "Settings", "Storage", "bytes_of", "config_path",
           "load", "seconds_of"]

PORTS = 20  # of an instance, from `port` on
DEMO_GROUP = "demo"
"""The group of everybody in the demo."""


class Settings(Model):
    instance: Instance = "mlinfn"
    """Name of this installation: prefix of its containers, networks and Compose project."""
    root: Annotated[Path, Words(ROOT_WORDS)] = Path("/srv/mlinfn")
    """Folder of all data and secrets of this instance."""
    port: int = Field(8000, ge=1024, le=65500)
    """The public port. This and the next 19 belong to the instance."""
    host: Hostname = "localhost"
    """Public name. With `localhost`, labs live on NAME.localhost."""
    subdomains: bool = True
    """Each member's lab on a subdomain of its own: pages in one lab cannot act in another."""
    login: Literal["local", "demo", "iam"] = "local"
    """How people log in. local: a password for each, made with `mlinfn users add`. demo: an identity service of our
    own with four made-up people, for trying out on this machine alone. iam: INDIGO IAM."""
    iam: IAM = IAM()
    """Who may enter, with `login: iam`."""
    contact: str = ""
    """Whom members write to: an address or a link, shown on error pages."""
    groups: tuple[Group, ...] | None = None
    """Groups that share a folder. Not given: those that may log in by IAM or the demo. No other has one, or a gid."""
    images: tuple[Image, ...] = ()
    """The images that members pick from, in this order."""
    profile_list: tuple[dict[str, Any], ...] = ()
    """KubeSpawner profiles, pasted as they are, offered after `images`."""
    host_images: tuple[str, ...] = ()
    """Patterns, such as `myteam/*`: images that are already on this machine and match are offered as well."""
    unlisted_images: UnlistedImages = UnlistedImages()
    """Who may type an image reference of their own."""
    sizes: Sizes = Sizes()
    """What members choose from where an image does not say."""
    gpus: GPUs = GPUs()
    """Which GPUs are lent, to whom, and how many."""
    root_groups: tuple[Group, ...] = ()
    """Groups whose members may become root in their own labs, by `sudo` without a password. Empty: nobody."""
    storage: Storage = Storage()
    """What labs see of this machine's disks beside homes and the folders of groups."""
    cvmfs: CVMFS = CVMFS()
    """Software repositories in labs, at /cvmfs."""
    rooms: Rooms = ()
    """Labs in which the members of a group work together, each under their own name: a list, or each-group for one
    room for each group that shares a folder."""
    rooms_without_subdomains: Annotated[Literal["", "accepted"], Words("the word accepted, or nothing")] = ""
    """The word accepted: rooms with `subdomains: false`, although a page in a room can then act as whoever opens it."""
    backup: Backup = Backup()
    """Copies of everything that people made, and of the hub itself."""
    monitoring: Monitoring = Monitoring()
    """What is kept of how the machine is doing, and who is told of trouble."""
    tls: TLS = TLS()
    """How others than this machine reach the service, and with which certificate."""
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
    gids: IDRange = IDRange(first=90000, last=109999)
    """Group ids given to `groups`, once and for ever."""

    @property
    def sharing_groups(self) -> tuple[str, ...]:
        """The groups that share a folder: those of `groups`, by default the ones that may log in."""
        if self.groups is not None:
            return self.groups
        return {"iam": self.iam.allowed_groups, "demo": (DEMO_GROUP,)}.get(self.login, ())

    def clashes(self) -> Clashes:
        if not self.root.is_absolute() or len(self.root.parts) < 3:
            yield ("root",), f"this is {self.root}, but it has to be {ROOT_WORDS}."
        if self.login == "iam" and not self.iam.issuer:
            yield ("iam", "issuer"), "is missing, and `login: iam` needs it. Write the address of your IAM."
        if self.login == "demo" and self.host != "localhost":
            yield ("login",), f"the demo is for this machine alone, so `host` has to be localhost, not {self.host}."
        if self.subdomains and is_address(self.host):
            yield ("host",), f"{self.host} is an address, which has no subdomains. Write a name or `subdomains: false`."
        if "-lab-" in f"{self.instance}-":  # a-lab's bob and a's lab-bob would have containers of one name
            yield ("instance",), "`-lab` separates instance and member in names of containers. Choose another name."
        yield from (*self._image_clashes(), *self._idle_clashes(), *self._file_clashes())
        yield from image_clashes(self.cvmfs, self.images)
        yield from room_clashes(self.rooms, self.sharing_groups, self.subdomains, self.rooms_without_subdomains)
        yield from backup_clashes(self.backup, self.root, self.storage.extra)
        ports = range(self.port, self.port + PORTS)
        yield from tls_clashes(self.tls, self.host, self.subdomains, self.login, ports)

    def _image_clashes(self) -> Clashes:
        slugs = [image.slug for image in self.images]
        defaults = [index for index, image in enumerate(self.images) if image.default]
        for index, slug in enumerate(slugs):
            if slug in slugs[:index]:
                yield ("images", index, "slug"), f"{slug} is the slug of images[{slugs.index(slug)}] already."
            if slug == "unlisted":
                yield ("images", index, "slug"), "`unlisted` is kept for `unlisted_images`. Take another slug."
            if slug == "room" and self.rooms:
                yield ("images", index, "slug"), "`room` is kept for `rooms`. Take another slug."
        for index in defaults[1:]:
            yield ("images", index, "default"), f"images[{defaults[0]}] is the default already. Keep one of them."

    def _file_clashes(self) -> Clashes:
        yield from (*twice(self.groups or (), "groups"), *twice(self.root_groups, "root_groups"))
        if self.uids.first <= self.gids.last and self.gids.first <= self.uids.last:
            yield ("gids",), "overlap `uids`. A member's own group has the number of their uid, so keep the two apart."
        for index, extra in enumerate(self.storage.extra):
            if overlap(extra.source, self.root):
                at = ("storage", "extra", index, "source")
                yield at, f"{extra.source} would show {self.root}, with everybody's files and secrets. Take another."

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
