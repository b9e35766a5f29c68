"""Work with restic, done in containers of the image `backup`: the service's own, or one for the purpose."""

from __future__ import annotations

import csv
import io
import json
import secrets
import signal
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import OperatorError, UserError
from ..settings_backup import is_folder
from . import backup_folders, backup_service, compose, engine, interrupt, put_back
from .asking import LATE, Said
from .site import Site

IMAGE = f"mlinfn/backup:{__version__}"
MODULE = ("python3", "-m", "jupyterhub_mlinfn.backup")
MILD = ("ionice", "-c3", "nice", "-n19")
"""People's work comes first, as with what the service does by itself; nobody works while everything is restored."""
IN_A_HURRY = ("restore", "settings", "everything")
CHANGES_FILES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
"""What giving files back to their owners takes."""
INTO, CONFIG = "/restored", "/etc/mlinfn.yaml"
Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Container:
    """One to be started for one piece of work, gone afterwards.

    One that writes has a name by which the next command finds it: it goes on where its own command was killed.
    """

    site: Site
    secrets: Path
    """Holds the key, and credentials of targets."""
    targets: Sequence[str]
    into: Path | None = None
    """A folder of this machine in which files are restored."""
    mounts: Mapping[Path, str] = field(default_factory=dict)
    """What it sees besides, and where; all of it has to be there."""
    reads: Mapping[Path, str] = field(default_factory=dict)
    """The same, not to be changed."""

    def words(self) -> list[str]:
        """The words of `docker` that start it. The host's name is its own, since restic trusts locks by that."""
        return ["run", "--rm", "--interactive", "--network=host", "--pull=never", "--read-only", "--tmpfs=/tmp",
                f"--hostname={self._own_host()}", f"--env=TZ={backup_service.time_zone()}",
                "--user=0:0", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--memory=2g",
                "--memory-swap=2g", *self._files(), *self._settings(), IMAGE]  # fmt: skip

    @property
    def silent(self) -> list[str]:
        """Folders that are targets and do not answer."""
        return [each for each, seen in self._looked_at.items() if seen.code == LATE]

    @cached_property
    def _looked_at(self) -> Mapping[str, Said]:
        return backup_folders.looked_at(filter(is_folder, self.targets))

    def _files(self) -> list[str]:
        """Docker refuses a folder that is not there; a target that is away is for restic to complain of."""
        folders = {Path(each): each for each, seen in self._looked_at.items() if seen.is_well}
        mounts, words = {**folders, **self.mounts}, ["--cap-add=DAC_READ_SEARCH"]
        if self.into:
            mounts[self.into] = INTO
            words = [f"--name={name_of(self.into)}", *(f"--cap-add={each}" for each in CHANGES_FILES)]
        reads = {self.secrets: "/run/secrets", **self.reads}
        return [*words, *(_mount(*each, "readonly") for each in reads.items()), *starmap(_mount, mounts.items())]

    @cached_property
    def _host(self) -> str:
        """The service's; empty where nothing is set up yet."""
        return backup_service.host(self.site.settings) if self.reads else ""

    def _own_host(self) -> str:
        """A name of its own: restic takes processes of a host of the same name for its neighbours."""
        own = secrets.token_hex(4)
        return f"{own}.{self._host}" if self._host else f"by-hand-{own}"

    def _settings(self) -> list[str]:
        """Where nothing is set up yet, no settings are read, and restic's cache goes with the container's files."""
        if self.reads:
            return [f"--env=MLINFN_CONFIG={CONFIG}", f"--env=MLINFN_BACKUP_HOST={self._host}"]
        return [f"--env=MLINFN_BACKUP_STATE={INTO + '/.state' if self.into else '/tmp'}"]


def _mount(source: Path, target: str, *more: str) -> str:
    """The word for a mount. Docker reads it as a line of CSV, so a path may have any character."""
    line, fields = io.StringIO(), ["type=bind", f"source={source}", f"target={target}", *more]
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(fields)
    return f"--mount={line.getvalue()}"


def name_of(into: Path) -> str:
    """The name of the container that fills a folder."""
    return f"mlinfn-restore-{zlib.crc32(str(into).encode()):08x}"


def of_site(site: Site, targets: Sequence[str], into: Path | None = None) -> Container:
    """A container for the targets of an instance that is set up. Raises OperatorError if it is not."""
    root = site.settings.root
    secrets = root / "secrets" / backup_service.NAME
    if not secrets.is_dir():
        raise OperatorError(f"{secrets} is not there yet. Make it with: sudo mlinfn prepare")
    (root / "backup").mkdir(mode=0o700, exist_ok=True)  # it is in no backup, so after a restore it is not there
    mounts, reads = {root / "backup": "/var/lib/backup"}, {site.config.absolute(): CONFIG}
    return Container(site, secrets, targets, into, mounts, reads)


def work(container: Container, verb: str, *words: str, say: Say, typed: str = "") -> Any:
    """What the verb answered. Raises OperatorError, or UserError where something was asked for that cannot be.

    Who has it write holds the lock of the folder, so whatever is in it, or still fills it, is of a command that died.
    """
    if engine.image(IMAGE) is None:
        raise OperatorError(f"The image {IMAGE} is not on this machine. ./install.sh or images/build backup makes it.")
    if container.into:
        engine.remove(name_of(container.into))
        put_back.empty(container.into)
    for each in container.silent:
        say({"target": each, "step": f"{backup_folders.SILENT}, and left out"})
    try:
        return _answer(["docker", *container.words(), *_asked(verb, container.targets), *words], say, typed)
    except KeyboardInterrupt:
        if container.into:
            engine.remove(name_of(container.into))
        raise


def in_service(site: Site, verb: str, targets: Sequence[str], say: Say, *words: str) -> Any:
    """The same in the service's own container, which has to run."""
    found = compose.services(site).get(backup_service.NAME) if site.env_file.is_file() else None
    if found is None or not found["State"]["Running"]:
        raise OperatorError("The service `backup` does not run. Start it with: mlinfn up")
    with interrupt.told("Interrupted here; the service goes on with it. How it ends: mlinfn backup status"):
        return _answer(["docker", "exec", found["Id"], *_asked(verb, targets), *words], say)


def _asked(verb: str, targets: Sequence[str]) -> list[str]:
    mild = () if verb in IN_A_HURRY else MILD
    return [*mild, *MODULE, verb, *(word for each in targets for word in ("--target", each))]


def _answer(command: Sequence[str], say: Say, typed: str = "") -> Any:
    last: Mapping[str, Any] = {}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                              start_new_session=True) as process:  # fmt: skip
            process.stdin.write(typed.encode())
            process.stdin.close()
            try:
                for raw in process.stdout:
                    last = json.loads(raw)
                    if "progress" in last:
                        say(last["progress"])
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)  # once, and also where no terminal sends it; Docker passes it on
                raise
        said.seek(0)
        complaint = said.read()[-1000:]
    if "answer" in last:
        return last["answer"]
    if process.returncode == 2 and "error" in last:
        raise UserError(last["error"])
    raise OperatorError(last.get("error") or engine.refusal(complaint))
