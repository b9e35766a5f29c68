"""What has to be on the host before the stack starts: folders, secrets, the tmpfs `run/`, Compose's variables.

Each function makes what is missing, leaves what is right, and returns a sentence for each thing that it did.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import __version__, backup_page, collab, demo, files, login
from .. import network as labs_network
from ..errors import OperatorError
from ..rooms import rooms_of
from ..settings import Settings
from . import (
    backup_service,
    compose,
    cvmfs_service,
    env_file,
    gpu_service,
    hub_api,
    monitoring_service,
    put_back,
    tls_service,
)
from .site import CHECKOUT, Site

FOLDERS = ("users", "shared", "groups", "rooms", "hub", "backup", "monitoring", "run", "secrets")
PROXY_UID = 69001
READERS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "hub": (0, ("proxy_token", "cookie_secret", "crypt_key", "backup_export_token", backup_page.PAGE.secret,
                "prometheus_token", "grafana_token", hub_api.TOKEN)),
    "proxy": (PROXY_UID, ("proxy_token",)),
    "backup": (0, ("backup_export_token", "backup_key")),
    backup_page.SERVICE: (backup_page.PAGE.uid, (backup_page.PAGE.secret,)),
    **monitoring_service.READERS,
}
"""Who reads which secrets, and under which uid. A secret that several read has the same value for all."""
RUN_OPTIONS = "mode=0700,size=64m,nosuid,nodev,noexec"
FSTAB = Path("/etc/fstab")


def prepare(site: Site, *, fstab: Path = FSTAB) -> list[str]:
    """Everything in order; sentences about what had to be done.

    Raises OperatorError if that takes root, or if people must not or cannot log in as the settings say.
    """
    if os.geteuid() != 0:
        raise OperatorError("Folders, secrets and mounts are made by root. Run this with sudo.")
    settings = site.settings
    put_back.refuse_half_done(settings.root)
    login.check(settings)
    demo.check_switch(settings, site.config)
    done = [*folders(settings.root), *make_secrets(settings.root / "secrets", readers(settings))]
    done += tls_service.ground(settings)  # before Compose is told anything: it refuses what browsers would
    needed = cvmfs_service.profiles(settings, env_file.read(site.env_file).get("COMPOSE_PROFILES", ""))
    done += [*demo.ground(settings), *tmpfs(settings.root / "run", fstab), *env_files(site, needed)]
    done += [*cvmfs_service.ground(settings, needed, fstab), *backup_service.ground(settings, fstab)]
    done += monitoring_service.ground(settings, (*compose.expected(settings), *compose.optional(site)))
    login.check_client(settings)
    for path, uid in secret_files(settings):
        _own(path, uid, 0o600)
    return done


def secret_files(settings: Settings) -> list[tuple[Path, int]]:
    """Every secret that these settings need, with the uid that alone may read it."""
    folder = settings.root / "secrets"
    made = [(folder / reader / name, uid) for reader, (uid, names) in readers(settings).items() for name in names]
    given = {"demo": [(demo.people_file(settings), demo.UID)],
             "iam": [(folder / "hub" / name, 0) for name in login.CLIENT_FILES]}  # fmt: skip
    return [*made, *given.get(settings.login, ()), *tls_service.secret_files(settings)]


def readers(settings: Settings) -> Mapping[str, tuple[int, tuple[str, ...]]]:
    """Who reads which secrets with these settings: a service that not everybody has shares one with the hub."""
    uid, names = READERS["hub"]
    more = {"demo": (demo.UID, ("demo_client_secret",))} if settings.login == "demo" else {}
    more |= {collab.PAGE.name: (collab.PAGE.uid, (collab.PAGE.secret,))} if rooms_of(settings) else {}
    shared = tuple(name for _, theirs in more.values() for name in theirs)
    return {**READERS, "hub": (uid, (*names, *shared)), **more}


def folders(root: Path) -> list[str]:
    """The root folder, which only root enters, and those in it."""
    done = []
    root.parent.mkdir(parents=True, exist_ok=True)
    for folder in (root, *(root / name for name in FOLDERS)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            done.append(f"Made {folder}.")
    shared = root / "shared"
    if shared.stat().st_mode & 0o777 != 0o755:  # labs look into it, as members; nobody else comes as far as here
        shared.chmod(0o755)
    for folder in (root, root / "hub", root / "secrets"):
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
            done.append(f"Closed {folder} to others (mode 0700).")
    return done


def make_secrets(folder: Path, readers: Mapping[str, tuple[int, tuple[str, ...]]] = READERS) -> list[str]:
    """Every secret in the folder of each reader, which alone can read it; existing ones keep their values."""
    done = []
    for reader, (uid, names) in readers.items():
        (folder / reader).mkdir(mode=0o700, exist_ok=True)
        _own(folder / reader, uid, 0o700)
        for name in names:
            first = next(folder / other / name for other, (_, those) in readers.items() if name in those)
            done += _secret(first, folder / reader / name)
            _own(folder / reader / name, uid, 0o600)
    return done


def _secret(first: Path, path: Path) -> list[str]:
    """The first reader has the value; the others get copies."""
    reader = path.parent.name
    if path == first:
        if path.is_file() and path.stat().st_size:
            return []
        files.replace(path, secrets.token_hex(32) + "\n")
        return [f"Made the secret {reader}/{path.name}."]
    changed = files.replace_if_changed(path, first.read_text())
    return [f"Gave {reader} its copy of {path.name}."] if changed else []


def _own(path: Path, uid: int, mode: int) -> None:
    status = path.stat()
    if (status.st_uid, status.st_gid) != (uid, uid):
        os.chown(path, uid, uid)
    if status.st_mode & 0o7777 != mode:
        path.chmod(mode)


def tmpfs(folder: Path, fstab: Path) -> list[str]:
    """A tmpfs on the folder, now and after the next boot: tokens in it never reach a disk."""
    done = []
    where = str(folder.resolve()).replace(" ", "\\040")
    lines = fstab.read_text() if fstab.exists() else ""
    if not any(line.split()[1:2] == [where] for line in lines.splitlines() if not line.startswith("#")):
        gap = "" if lines.endswith("\n") or not lines else "\n"
        files.replace(fstab, f"{lines}{gap}tmpfs {where} tmpfs {RUN_OPTIONS} 0 0\n", mode=0o644)
        done.append(f"Added {folder} to {fstab}.")
    if not files.is_tmpfs(folder):
        _mount(folder)
        done.append(f"Mounted a tmpfs on {folder}.")
    return done


def _mount(folder: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", RUN_OPTIONS, "tmpfs", str(folder)], capture_output=True,
                             text=True)
    if mounted.returncode:
        raise OperatorError(f"No tmpfs could be mounted on {folder}: {mounted.stderr.strip()}. Tokens of members are "
                            "kept there and must not reach a disk, so nothing was started.")


def env_files(site: Site, more_profiles: Sequence[str] = ()) -> list[str]:
    """Compose's variables in the root folder and, for the checkout's own instance, where plain Compose looks."""
    text = env_file.text(variables(site.settings, site.config, gpu_service.extra_file(site.settings), more_profiles))
    paths = [site.env_file, *([CHECKOUT / "compose" / ".env"] if site.is_checkouts_own else [])]
    return [f"Wrote {path}." for path in paths if files.replace_if_changed(path, text)]


def variables(settings: Settings, config: Path, gpus_file: str = "", more_profiles: Sequence[str] = ()
              ) -> dict[str, str]:  # fmt: skip
    """What compose.yaml needs to know of the settings. `gpus_file` gives GPUs to the service `gpus`, if it runs."""
    network, gpus_port = settings.network, settings.port + 5
    backups = bool(settings.backup.targets)
    profiles = {"demo": settings.login == "demo", "gpus": bool(gpus_file), collab.PAGE.name: bool(rooms_of(settings)),
                backup_service.NAME: backups, tls_service.NAME: settings.tls.is_on}  # fmt: skip
    backup_file = str(settings.root / backup_service.COMPOSE_FILE) if backups else ""
    monitored = monitoring_service.profiles(settings, has_gpus=bool(gpus_file))
    return {
        "MLINFN_INSTANCE": settings.instance,
        "MLINFN_VERSION": __version__,
        "MLINFN_CONFIG": str(config.absolute()),
        "MLINFN_ROOT": str(settings.root),
        "MLINFN_PORT": str(settings.port),
        "MLINFN_API_PORT": str(settings.port + 1),
        "MLINFN_HUB_PORT": str(settings.port + 2),
        "MLINFN_GUARD_PORT": str(settings.port + 3),
        "MLINFN_DEMO_PORT": str(login.demo_port(settings)),
        "MLINFN_GPUS_PORT": str(gpus_port),
        "MLINFN_GPUS_REPORT": f"http://127.0.0.1:{gpus_port}/" if gpus_file else "",
        "MLINFN_BACKUP_PORT": str(settings.port + 8),
        "MLINFN_BACKUP_PAGE_PORT": str(backup_page.PAGE.port(settings)),
        "MLINFN_BACKUP_PAGE": backup_page.PAGE.url(settings),
        "MLINFN_CVMFS_PORT": str(settings.port + 6),
        "MLINFN_CVMFS_FOLDER": str(settings.cvmfs.folder),
        "MLINFN_CVMFS_REPOSITORIES": ",".join(settings.cvmfs.repositories),
        "MLINFN_CVMFS_LIMITS": f"{settings.cvmfs.proxy},{settings.cvmfs.cache}",
        "MLINFN_COLLAB_PORT": str(collab.PAGE.port(settings)),
        "MLINFN_COLLAB_PAGE": collab.PAGE.url(settings),
        "MLINFN_COLLAB_ROOMS": collab.written(settings),
        "MLINFN_HUB_URL": login.public_url(settings),
        "MLINFN_CONTACT": settings.contact,
        "MLINFN_LABS_BRIDGE": labs_network.bridge(settings),
        "MLINFN_LABS_SUBNET": str(network.labs_subnet),
        "MLINFN_HUB_ADDRESS": str(network.labs_subnet[1]),
        "MLINFN_ALLOW_NETWORKS": ",".join(map(str, network.allow_networks)),
        "MLINFN_HOST_ROUTING": "--host-routing" if settings.subdomains else "",
        "MLINFN_OOM_SCORE_ADJ": "-900" if may_lower_oom_score() else "0",
        **tls_service.variables(settings),
        **monitoring_service.variables(settings),
        "COMPOSE_FILE": ":".join(filter(None, ("compose.yaml", gpus_file, backup_file,
                                               tls_service.compose_file(settings)))),
        "COMPOSE_PROFILES": ",".join([*(name for name, runs in profiles.items() if runs), *more_profiles,
                                      *monitored]),
    }


def may_lower_oom_score() -> bool:
    """True if this machine lets root protect a process from the out-of-memory killer; inside containers it may not."""
    tried = subprocess.run(["sh", "-c", "echo -900 > /proc/self/oom_score_adj"], stderr=subprocess.DEVNULL)
    return tried.returncode == 0
