"""The Compose project of an instance: up, down, logs, and whether its services are well."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from .. import __version__, backup_page, collab, login
from ..errors import OperatorError, UserError
from ..settings import Settings
from ..usage import epoch
from . import backup_service, cvmfs_service, engine, env_file, monitoring_service, tls_service
from .output import counted
from .site import CHECKOUT, Site

SERVICES = ("hub", "proxy", "guard")
DEMO = "iam-demo"
"""The service that `login: demo` adds."""
GPUS = "gpus"
"""The service that asks NVIDIA's driver, where Docker can give it GPUs."""
CVMFS, CVMFS_PROBE = cvmfs_service.CLIENT, cvmfs_service.PROBE
"""The services that mount repositories, where the machine has no client of its own, and that ask them."""
COLLAB = collab.PAGE.name
"""The page of rooms, where there are any."""
BACKUP = backup_service.NAME
"""The service that makes snapshots, where there is a target for them."""
BACKUP_PAGE = backup_page.SERVICE
"""The page on which members get files back, beside it."""
TRAEFIK, CERTIFICATE = tls_service.TRAEFIK, tls_service.CERTIFICATE
"""The service that `tls` puts in front of the proxy, and the one that keeps its certificate."""
PROFILES = {DEMO: "demo", TRAEFIK: tls_service.NAME, CERTIFICATE: tls_service.NAME, GPUS: "gpus", CVMFS: CVMFS,
            CVMFS_PROBE: CVMFS_PROBE, COLLAB: COLLAB, BACKUP: BACKUP, BACKUP_PAGE: BACKUP,
            **monitoring_service.PROFILES}  # fmt: skip
OPTIONAL = tuple(name for name in PROFILES if name not in (DEMO, TRAEFIK))
INSTANCE_LABEL = "it.infn.mlinfn.instance"
SERVICE_LABEL = "it.infn.mlinfn.service"
LOOK_EVERY_S = 0.5
LABS_AT_ONCE = 16
"""How many labs are stopped at a time: one after the other, a full machine would take a quarter of an hour."""
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # Compose clears lines even where it was told to use no colour

Container = dict[str, Any]


def url(settings: Settings) -> str:
    """Where people go."""
    return login.public_url(settings)


def expected(settings: Settings) -> tuple[str, ...]:
    """The services that have to run with these settings."""
    more = {DEMO: settings.login == "demo", TRAEFIK: settings.tls.is_on}
    return (*SERVICES, *(name for name, runs in more.items() if runs))


def optional(site: Site) -> tuple[str, ...]:
    """Those that run on this machine besides, and that the others go on without."""
    active = env_file.read(site.env_file).get("COMPOSE_PROFILES", "").split(",")
    return tuple(name for name in OPTIONAL if PROFILES[name] in active)


def service_images(settings: Settings) -> list[str]:
    """The images of the services, of this version."""
    return [f"mlinfn/{service}:{__version__}" for service in expected(settings)]


def _short(image: str) -> str:
    return image.partition(":")[0].removeprefix("mlinfn/")


def check_before(site: Site) -> None:
    """Nothing, if the stack can start. Raises OperatorError if settings, Docker or images are not as they must be."""
    settings, _ = site.settings, site.compose_file
    engine.info()
    missing = [name for name in service_images(settings) if name not in engine.image_names()]
    if missing:
        raise OperatorError(f"{settings.instance} cannot start without the images {', '.join(missing)}. "
                            f"./install.sh or `mlinfn images build {' '.join(map(_short, missing))}` makes them.")


def words(site: Site, *more: str) -> list[str]:
    """The words after `docker` that name the project."""
    main = site.compose_file
    added = [main.parent / name for name in env_file.read(site.env_file).get("COMPOSE_FILE", "").split(":")[1:]]
    return ["compose", "--project-name", site.settings.instance, "--env-file", str(site.env_file),
            *(word for path in (main, *added) for word in ("--file", str(path))), *more]


def up(site: Site, *, quiet: bool) -> list[str]:
    """Sentences about what could not be started, though all that has to run was; it is not waited for.

    Compose made what is missing or changed. Services that these settings do not have are gone.
    """
    wanted, found = expected(site.settings), services(site)
    for name in (name for name in PROFILES if name in found and name not in (*wanted, *optional(site))):
        # Compose leaves what its profiles switch off.
        engine.run(words(site, "--profile", PROFILES[name], "rm", "--stop", "--force", name), quiet=quiet)
    engine.run(words(site, "up", "--detach", *wanted), quiet=quiet)
    failed = [said for name in optional(site) if (said := _try(site, name, quiet=quiet))]
    running = [name for name, each in services(site).items() if each["State"]["Running"]]
    monitoring_service.write_targets(site.settings, running)
    return failed


def _try(site: Site, name: str, *, quiet: bool) -> str:
    """Empty if the service was started, else why not."""
    try:
        engine.run(words(site, "up", "--detach", "--no-deps", name), quiet=quiet)
    except OperatorError as error:
        return f"The service {name} could not be started; the others go on. {error}"
    return ""


def down(site: Site, *, quiet: bool) -> None:
    """The services' containers are gone."""
    if site.env_file.is_file():
        all_of_them = [word for profile in PROFILES.values() for word in ("--profile", profile)]
        engine.run(words(site, *all_of_them, "down"), quiet=quiet)


def interrupted(site: Site, before: Mapping[str, Container]) -> str:
    """What to say after an interrupted `up`. Where nothing ran before, nothing runs any more."""
    ran = {name for name, each in before.items() if each["State"]["Running"]}
    if not ran:
        down(site, quiet=True)
        return f"Interrupted. Nothing of {site.settings.instance} ran before, so it was taken down again."
    run = {name for name, each in services(site).items() if each["State"]["Running"]}
    if lost := ran - run:
        return f"Interrupted. Not running now, though before: {', '.join(sorted(lost))}. Mend it with: mlinfn up"
    return "Interrupted. The services that ran before go on, and so do labs. To finish: mlinfn up"


def restart_if_settings_are_newer(site: Site, *, quiet: bool) -> bool:
    """True if services were restarted, because they read settings older than those that are there now."""
    settings = [site.config, *sorted((CHECKOUT / "config" / "jupyterhub_config.d").glob("*.py"))]
    hubs = [*settings, *monitoring_service.read_by_hub(site.settings)]
    reads = {"hub": hubs, BACKUP: settings, CERTIFICATE: settings, TRAEFIK: [tls_service.static_file(site.settings)],
             **monitoring_service.configurations(site.settings)}
    there = services(site)
    old = [name for name, read in reads.items()
           if name in there and epoch(there[name]["State"]["StartedAt"]) <= _newest(read)]  # fmt: skip
    if old:
        engine.run(words(site, "restart", *old), quiet=quiet)
    return bool(old)


def _newest(paths: Sequence[Path]) -> float:
    """When one of the files was changed last."""
    return max(max(path.stat().st_mtime, path.stat().st_ctime) for path in paths)


def services(site: Site) -> dict[str, Container]:
    """`docker inspect` of the project's containers by service."""
    found = engine.containers(f"com.docker.compose.project={site.settings.instance}")
    return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}


def state(container: Container | None) -> str:
    """One word for how a service is: healthy, starting, unhealthy, exited, restarting, missing..."""
    if container is None:
        return "missing"
    health = container["State"].get("Health", {}).get("Status")
    return health if health and container["State"]["Status"] == "running" else container["State"]["Status"]


def wait_until_well(site: Site, *, limit_s: float, say: Callable[[str], None]) -> None:
    """Nothing, once all services are healthy. Raises OperatorError with last log lines if they are not in time."""
    end = time.monotonic() + limit_s
    first = found = services(site)
    wanted = expected(site.settings)
    states: dict[str, str] = {}
    while True:
        before, states = states, {name: state(found.get(name)) for name in wanted}
        for name in (name for name in wanted if before.get(name) != states[name]):
            say(f"{name}: {states[name]}")
        ill = [name for name in wanted if states[name] != "healthy"]
        if not ill:
            return
        if time.monotonic() > end or any(_is_lost(found.get(name), first.get(name)) for name in ill):
            raise OperatorError(_why(found, states, ill))
        time.sleep(LOOK_EVERY_S)
        found = services(site)


def _is_lost(now: Container | None, first: Container | None) -> bool:
    """True if waiting longer is no use: since the first look it ended several times, or its health check gave up."""
    restarts = (now or {}).get("RestartCount", 0) - (first or {}).get("RestartCount", 0)
    return restarts >= 3 or (state(now) in ("exited", "dead", "unhealthy") and state(now) != state(first))


def _why(found: dict[str, Container], states: dict[str, str], ill: Sequence[str]) -> str:
    parts = []
    for name in ill:
        end = engine.last_lines(found[name]["Id"]) if name in found else ""
        parts.append(f"{name} is {states[name]}. The end of its log:\n{_indented(end or '(nothing)')}")
    parts.append("Labs that were running go on. After mending it: mlinfn up")
    return "\n".join([f"{', '.join(ill)} did not get well.", *parts])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def labs(site: Site) -> list[Container]:
    """The running labs of this instance."""
    found = engine.containers(f"{INSTANCE_LABEL}={site.settings.instance}")
    return [each for each in found if each["State"]["Running"] and not each["Config"]["Labels"].get(SERVICE_LABEL)]


def stop_labs(running: Sequence[Container], grace_s: int, *, say: Callable[[str], None]) -> None:
    """The labs are stopped, several at a time, and their containers removed; each has so many seconds to end by itself.

    Raises OperatorError for one that could not be stopped, when the others are.
    """
    say(f"{counted(len(running), 'lab')} to stop; each has {grace_s} s to end by itself.")
    with ThreadPoolExecutor(LABS_AT_ONCE) as beside:
        names = {beside.submit(_stop_lab, each["Id"], grace_s): each["Name"].lstrip("/") for each in running}
        try:
            for number, done in enumerate((each for each in as_completed(names) if not each.exception()), 1):
                say(f"Stopped {number} of {len(running)}: {names[done]}")
        except KeyboardInterrupt:
            beside.shutdown(wait=False, cancel_futures=True)
            raise
    for done in names:
        done.result()


def _stop_lab(container: str, grace_s: int) -> None:
    engine.stop(container, grace_s)
    engine.remove(container)


def logs(site: Site, names: Sequence[str], *, follow: bool, tail: int) -> Iterator[tuple[str, str]]:
    """Service and line, as they come. Raises UserError for a service that does not exist."""
    there = (*expected(site.settings), *optional(site))
    if unknown := [name for name in names if name not in there]:
        raise UserError(f"There is no service {unknown[0]}. There is: {', '.join(there)}.")
    engine.info()
    if not site.env_file.is_file():
        raise OperatorError(f"{site.settings.instance} was never started. Start it with: mlinfn up")
    more = ["--follow"] if follow else []
    command = words(site, "logs", "--no-color", "--timestamps", "--tail", str(tail), *more, *names)
    with subprocess.Popen(["docker", *command], stdout=subprocess.PIPE, text=True, errors="replace",
                          start_new_session=True) as process:  # fmt: skip
        try:
            for line in process.stdout:
                container, _, text = line.rstrip("\n").partition(" | ")
                yield ANSI.sub("", container).strip().removeprefix(f"{site.settings.instance}-"), text
        finally:  # Compose itself would have a word to say about Ctrl-C
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
