"""Where the service finds what it copies, its key and credentials, and its own files."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from .. import files
from ..errors import OperatorError
from ..settings import Settings, load
from ..settings_backup import Kind
from . import planning
from .restic import Restic

KEY, TOKEN, CREDENTIALS = "backup_key", "backup_export_token", "targets.ini"
SSH_KEY, SSH_HOSTS, RCLONE = "ssh_key", "ssh_known_hosts", "rclone.conf"
GIVEN = (CREDENTIALS, SSH_KEY, SSH_HOSTS, RCLONE)
"""What a keeper gives it to reach targets."""
VARIABLE = re.compile(r"(AWS|RCLONE|OS|B2|AZURE|GOOGLE)_[A-Z0-9_]+")
"""What credentials may set; anything else could change which program runs."""


@dataclass(frozen=True)
class Place:
    """One instance as its service sees it."""

    settings: Settings
    sources: Path
    """Holds a folder for each kind of data."""
    state: Path
    """The service's own: what it knows of targets, restic's cache, scratch."""
    secrets: Path
    hub: str = ""
    """The hub's API; empty where nobody has to be asked."""
    host: str = ""
    """What the names of our containers' hosts end with on this machine; empty outside of one."""
    zone: tzinfo = timezone.utc
    """The clock by which the schedule is, with its changes in spring and autumn."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Place:
        """The place that the container's variables describe. Raises OperatorError if the settings are wrong.

        Where a new machine gets its data back, there are no settings yet.
        """
        folders = {name: Path(environ.get(f"MLINFN_BACKUP_{name.upper()}", default)) for name, default in
                   (("sources", "/data"), ("state", "/var/lib/backup"), ("secrets", "/run/secrets"))}  # fmt: skip
        settings = load(environ=environ) if "MLINFN_CONFIG" in environ else Settings()
        names = {name: environ.get(f"MLINFN_BACKUP_{name.upper()}", "") for name in ("hub", "host")}
        return cls(settings, **folders, **names, zone=_zone(environ.get("TZ", "")))

    def source(self, kind: Kind) -> Path:
        """The folder of a kind of data."""
        return self.sources / kind

    def is_ours(self, host: str) -> bool:
        """True for a container of this instance on this machine."""
        return bool(self.host) and f".{host}".endswith(f".{self.host}")

    @property
    def token(self) -> str:
        """What the hub knows the service by."""
        return (self.secrets / TOKEN).read_text().strip()

    def restic(self, url: str, inherited: tuple[int, ...] = ()) -> Restic:
        """How to call restic for a target. Raises OperatorError if its credentials make no sense."""
        key = self.secrets / KEY
        if not key.is_file():
            raise OperatorError(f"There is no key {KEY} in secrets/backup. Make it with: sudo mlinfn prepare")
        environment = dict(credentials(self.secrets / CREDENTIALS).get(url, {}))
        if url.startswith("rclone:"):
            environment["RCLONE_CONFIG"] = str(self._rclone())
        options = [f"-osftp.args={self._ssh_words()}"] if url.startswith("sftp:") else []
        options += planning.limits(self.settings.backup)
        return Restic(url, key, self.state / "cache", environment, tuple(options), inherited=inherited)

    def _rclone(self) -> Path:
        """A copy of the configuration that was given, made anew when another one is. Raises OperatorError without one.

        rclone writes into it: many clouds give a new token in place of each that is used.
        """
        given, copy, copied = self.secrets / RCLONE, self.state / RCLONE, self.state / f"{RCLONE}.given"
        if not given.is_file():
            raise OperatorError(f"There is no {RCLONE} in secrets/backup. `rclone config` writes it.")
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.locked(copy):
            text = _text(given)
            if not copy.is_file() or not copied.is_file() or copied.read_text() != text:
                files.replace(copy, text)
                files.replace(copied, text)
        return copy

    def _ssh_words(self) -> str:
        hosts = f"-oUserKnownHostsFile={self.secrets / SSH_HOSTS}"
        return f"-F none -i {self.secrets / SSH_KEY} {hosts} -oBatchMode=yes -oConnectTimeout=20"


def _zone(name: str) -> tzinfo:
    """The zone of this name; UTC for none, as everything else in a container takes it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return timezone.utc


def given(folder: Path) -> list[Path]:
    """The files in a folder by which targets are reached."""
    return [folder / name for name in GIVEN if (folder / name).is_file()]


def credentials(path: Path) -> dict[str, dict[str, str]]:
    """Target -> variables, from a file with a section for each target. Raises OperatorError."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=True, default_section="")
    parser.optionxform = str
    try:
        parser.read_string(_text(path) if path.is_file() else "")
    except configparser.Error as error:
        where = re.search(r"line:? +(\d+)", str(error))
        raise OperatorError(f"{path.name} in secrets/backup, line {where[1] if where else '?'}: write [TARGET], and "
                            "below it lines NAME = VALUE.") from None  # fmt: skip
    found = {section: dict(parser.items(section)) for section in parser.sections()}
    for name in (name for each in found.values() for name in each if not VARIABLE.fullmatch(name)):
        raise OperatorError(f"{path.name} in secrets/backup sets {name}, which is no credential. Allowed are names "
                            "that begin with AWS_, RCLONE_, OS_, B2_, AZURE_ or GOOGLE_.")  # fmt: skip
    return found


def _text(path: Path) -> str:
    """What a keeper wrote. Raises OperatorError if it is in another encoding."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OperatorError(f"{path.name} in secrets/backup is not UTF-8. Save it in that encoding.") from None
