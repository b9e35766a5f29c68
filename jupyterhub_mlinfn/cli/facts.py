"""Seeing how an instance is: everything that the checks need to know, asked at the same time."""

from __future__ import annotations

import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .. import __version__, files, room_names
from ..cvmfs import Unreadable, mounts, parsed
from ..errors import OperatorError
from ..gpus import Found, find
from ..settings import PORTS, Settings
from . import alerts_seen, backup_service, compose, cvmfs_service, engine, glance, ground, machine, outside, tls_finding
from .asking import at_once, said, within
from .direct import ANSWER_S, DIRECT
from .known import Facts
from .registration import noted
from .site import Site

LISTEN = "0A"  # the state in /proc/net/tcp
HANGS = (f"NVIDIA's driver does not answer within {ANSWER_S} s: a card hangs, or the driver is loaded anew for each "
         "question. See: sudo nvidia-smi -pm 1; sudo dmesg | grep -i -e nvrm -e xid | tail")  # fmt: skip


def gather(site: Site, *, whole: bool = False, world: Path = Path("/")) -> Facts:
    """The facts of now; the machine and others besides, if the `whole` is wanted. Raises OperatorError if the settings
    are wrong. `world` is the folder that the machine's /etc, /proc/sys and the like are in.
    """
    settings = site.settings
    with ThreadPoolExecutor(1) as thread:
        about = thread.submit(_engine).result
        questions = _of_instance(site, about)
        if whole:
            questions |= {"machine": lambda: machine.look(settings, about, world),
                          "outside": lambda: outside.look(settings, about, world)}  # fmt: skip
        answers = at_once(questions)
    rows = answers.pop("containers")
    return Facts(
        settings=settings, engine=about(), services=_services(site, about(), rows), labs=glance.labs(rows, settings),
        service_images=tuple(compose.service_images(settings)),
        lab_images=tuple(tagged(each.image) for each in settings.images), **answers,
    )  # fmt: skip


def _of_instance(site: Site, about: machine.About) -> dict[str, Callable[[], Any]]:
    """What is asked of an instance, by the name of the fact. `about` waits for the Engine."""
    settings = site.settings
    return {
        "containers": lambda: () if isinstance(about(), str) else glance.look(),
        "images": lambda: frozenset() if isinstance(about(), str) else engine.image_names(),
        "guard": lambda: answer(f"http://127.0.0.1:{settings.port + 3}/health"),
        "hub": lambda: answer(f"http://127.0.0.1:{settings.port}/hub/health", f"{settings.host}:{settings.port}"),
        "taken_ports": lambda: taken_ports(settings),
        "free": lambda: free(settings, about()),
        "away": lambda: away(settings),
        "gpus": lambda: gpus(settings, about()),
        "cvmfs": lambda: software(site),
        "misnamed_rooms": lambda: misnamed_rooms(site),
        "certificate": lambda: tls_finding.look(settings),
        "monitoring": lambda: alerts_seen.look(settings),
        "backups": lambda: backup_service.look(settings, datetime.now(timezone.utc)),
        "run_is_tmpfs": lambda: files.is_tmpfs(settings.root / "run"),
        "secrets": lambda: tuple(loose_secrets(settings)),
        "identity": lambda: noted(settings.root),
    }


def gpus(settings: Settings, about: dict[str, Any] | str) -> Found:
    """The GPUs of this machine; none is looked for without an engine that could give them."""
    if isinstance(about, str):
        return Found()
    found = within(ANSWER_S, lambda: find(settings.gpus, about.get("CDISpecDirs") or ()))
    return found or Found(notes=(HANGS,))


def software(site: Site) -> cvmfs_service.Seen:
    """How CVMFS stands; no path below its folder is touched."""
    if not site.settings.cvmfs.repositories:
        return cvmfs_service.Seen()
    try:
        with DIRECT.open(f"http://127.0.0.1:{site.settings.port + 6}/", timeout=ANSWER_S) as answer:
            states = parsed(answer.read())
    except (OSError, HTTPException, Unreadable) as error:
        states = f"{getattr(error, 'reason', error)}."
    return cvmfs_service.Seen(mounts.read(), states, cvmfs_service.CLIENT in compose.optional(site))


def misnamed_rooms(site: Site) -> str:
    """What is wrong with names of rooms; empty if nothing is, or it cannot be known."""
    try:
        room_names.check(site.config, site.settings)
    except OperatorError as error:
        return " ".join(str(error).splitlines()[1:])
    return ""


def tagged(reference: str) -> str:
    """The image with its tag: where none is written, this version for our own and `latest` for others."""
    name = reference.rpartition("/")[2]
    if ":" in name or "@" in name:
        return reference
    return f"{reference}:{__version__ if reference.startswith('mlinfn/') else 'latest'}"


def _engine() -> dict[str, Any] | str:
    try:
        return engine.info(ANSWER_S)
    except OperatorError as error:
        return str(error)


def _services(site: Site, about: dict[str, Any] | str, rows: Sequence[glance.Row]) -> dict[str, str]:
    if isinstance(about, str):
        return {}
    found = glance.services(rows, site.settings)
    return {name: found.get(name, "missing") for name in (*compose.expected(site.settings), *compose.optional(site))}


def answer(url: str, host: str = "") -> str:
    """ "ok" if the address answers 200, else why not, in a sentence."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with DIRECT.open(request, timeout=ANSWER_S):
            return "ok"
    except urllib.error.HTTPError as error:
        said = error.read(300).decode(errors="replace").strip() or error.reason
        return f"{url} answers {error.code}: {said}."
    except (OSError, HTTPException) as error:
        return f"{url} does not answer ({getattr(error, 'reason', error)})."


def taken_ports(settings: Settings, net: Path = Path("/proc/net")) -> tuple[int, ...]:
    """Those of the ports that the instance takes on which something listens, whatever the address."""
    rows = [line.split() for name in ("tcp", "tcp6") if (net / name).exists()
            for line in (net / name).read_text().splitlines()[1:]]
    listening = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN}
    ours = (*range(settings.port, settings.port + PORTS), *settings.tls.ports)
    return tuple(port for port in ours if port in listening)


def free(settings: Settings, about: dict[str, Any] | str) -> dict[str, tuple[int, int]]:
    """Free and total bytes where our data and Docker's are; of a folder that is not there yet, those of its parent."""
    usages = {str(path): shutil.disk_usage(machine.nearest(path)) for path in machine.places(settings, about)}
    return {path: (each.free, each.total) for path, each in usages.items()}


def away(settings: Settings) -> tuple[str, ...]:
    """Folders of `storage.extra` that are not there, or do not answer: looked at by a program that can be given up."""
    sources = [str(extra.source) for extra in settings.storage.extra]
    return tuple(source for source in sources if not said("test", "-d", source).is_well)


def loose_secrets(settings: Settings) -> list[str]:
    """A sentence for each secret that is missing, or that somebody besides its reader can read."""
    said = []
    given = [(path, 0) for path in backup_service.given(settings)]
    for path, uid in (*ground.secret_files(settings), *given):
        try:
            status = path.stat()
        except FileNotFoundError:
            said.append(f"{path} is missing.")
            continue
        if status.st_uid != uid or stat.S_IMODE(status.st_mode) != 0o600:
            said.append(f"{path} is of uid {status.st_uid} with mode {stat.S_IMODE(status.st_mode):04o}, "
                        f"not of {uid} with 0600.")
    return said
