"""From settings to JupyterHub's traits: the only translator. Nothing else of the package imports this."""

from __future__ import annotations

import asyncio
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from prometheus_client import disable_created_metrics
from traitlets.config.loader import LazyConfigValue

from . import (
    __version__,
    activity,
    backup_page,
    census,
    collab,
    container,
    export,
    files,
    form,
    gpu_accounts,
    gpu_api,
    gpus,
    grafana,
    lab_accounts,
    login,
    network,
    options,
    reconcile,
    restored,
    restored_api,
    room_accounts,
    room_api,
    room_names,
    sessions,
    starts,
    userinfo,
)
from .engine import EngineSpawner
from .errors import OperatorError
from .gpus.lending import Lending
from .rooms import rooms_of
from .settings import Settings, seconds_of

log = logging.getLogger("jupyterhub.mlinfn")
COMMAND = "mlinfn"
"""What the hub calls the command `mlinfn`."""
CULLER_SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers"]


def configure(c: Any, settings: Settings, culler_config: Path, site_file: Path) -> None:
    """Sets every trait that the settings decide.

    The idle culler is a process of its own: it is started with `culler_config` and reads `site_file`, the mlinfn.yaml.
    """
    _hub(c, settings)
    _proxy(c, settings)
    _pages(c, settings)
    _spawner(c, settings)
    c.JupyterHub.extra_handlers = [
        *gpu_api.handlers(EngineSpawner.shared_lending), *activity.handlers(), *userinfo.handlers(),
        *room_api.handlers(settings)]  # fmt: skip
    login.configure(c, settings)
    _culler(c, culler_config, site_file)
    _command(c, settings)
    c.JupyterHub.load_roles += [room_accounts.role(room) for room in rooms_of(settings)]
    c.JupyterHub.extra_user_scopes = set()
    collab.configure(c, settings)
    grafana.configure(c, settings)
    if settings.backup.targets:
        _backup(c, settings)
    if settings.monitoring.enabled:
        _monitoring(c, settings)


def _hub(c: Any, settings: Settings) -> None:
    address = f"http://{network.gateway(settings)}:{settings.port + 2}"
    c.JupyterHub.hub_bind_url = c.JupyterHub.hub_connect_url = address
    c.JupyterHub.bind_url = f"http://127.0.0.1:{settings.port}"
    if settings.subdomains:
        c.JupyterHub.subdomain_host = login.public_url(settings)
    c.JupyterHub.db_url = f"sqlite:///{settings.root}/hub/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = f"{settings.root}/secrets/hub/cookie_secret"
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.cleanup_servers = False
    # Starts wait their turn in the spawner; a limit here would turn people away.
    c.JupyterHub.concurrent_spawn_limit = 0
    # Long enough for a refusal to come back at once, short enough that a start shows its progress.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0.3, "slow_stop_timeout": 1}
    # A proxy that was recreated gets its routes back at this pace.
    c.JupyterHub.last_activity_interval = 2
    if settings.tls.is_on:
        _tls(c, settings)


def _tls(c: Any, settings: Settings) -> None:
    """Cookies are for TLS alone, and a lab's pages cannot put one of theirs in the place of the hub's."""
    c.JupyterHub.public_url = f"{login.public_url(settings)}/"
    c.JupyterHub.cookie_host_prefix_enabled = True
    c.JupyterHub.tornado_settings = {**c.JupyterHub.tornado_settings, "xsrf_cookie_kwargs": {"secure": True}}


def _proxy(c: Any, settings: Settings) -> None:
    c.JupyterHub.proxy_class = "configurable-http-proxy"
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.port + 1}"
    c.ConfigurableHTTPProxy.auth_token = login.secret(settings, "proxy_token")


def _pages(c: Any, settings: Settings) -> None:
    c.JupyterHub.template_paths = [str(form.TEMPLATES)]
    c.JupyterHub.logo_file = str(form.LOGO)
    hub_url = f"{login.public_url(settings)}/hub/"
    c.JupyterHub.template_vars = {"contact": settings.contact, "hub_url": hub_url, "demo": settings.login == "demo"}


def _spawner(c: Any, settings: Settings) -> None:
    c.JupyterHub.spawner_class = "mlinfn"
    ours = c.MLINFNSpawner
    for field in ("instance", "contact", "images", "profile_list", "host_images", "unlisted_images", "sizes"):
        setattr(ours, field, getattr(settings, field))
    for field in ("starting", "limits", "uids", "gids", "gpus", "storage", "root_groups"):
        setattr(ours, field, getattr(settings, field))
    ours.groups = settings.sharing_groups
    ours.rooms = rooms_of(settings)
    ours.root = str(settings.root)
    ours.version = __version__
    ours.network_name = network.name(settings)
    ours.use_internal_ip = True
    ours.guard_url = f"http://127.0.0.1:{settings.port + 3}/health"
    ours.bearer_token = settings.login != "local"
    ours.cvmfs = settings.cvmfs
    ours.cvmfs_url = f"http://127.0.0.1:{settings.port + 6}/" if settings.cvmfs.repositories else ""
    ours.extra_host_config = {"oom_score_adj": 500}  # under pressure a lab goes before the hub and the proxy


def _culler(c: Any, config: Path, site_file: Path) -> None:
    command = [sys.executable, "-m", "jupyterhub_idle_culler", f"--config={config}"]
    # Without the second variable a culler that cannot read its settings would go on with its own, much shorter ones.
    place = {"MLINFN_CONFIG": str(site_file), "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1"}
    c.JupyterHub.services = [{"name": "culler", "command": command, "environment": place}]
    c.JupyterHub.load_roles = [{"name": "culler", "scopes": CULLER_SCOPES, "services": ["culler"]}]


def _command(c: Any, settings: Settings) -> None:
    """`mlinfn labs` may do what the culler may, and nothing else."""
    c.JupyterHub.services.append({"name": COMMAND, "api_token": login.secret(settings, "command_token")})
    c.JupyterHub.load_roles.append({"name": COMMAND, "scopes": CULLER_SCOPES, "services": [COMMAND]})


def _backup(c: Any, settings: Settings) -> None:
    """The service that makes backups may ask for copies of the databases, and for nothing else; people may have their
    files put back.

    To JupyterHub `backup` is the page, which is at /services/backup/ thereby. A token stays with the service that it
    was first given to, so neither of the two may ever have the other's.
    """
    exporting = "backup-export"
    c.JupyterHub.custom_scopes = {
        export.SCOPE: {"description": "Copy the hub's databases for a backup."},
        restored.SCOPE: {"description": "Put files of a backup into your own home, beside what is there."},
    }
    c.JupyterHub.extra_user_scopes |= {restored.SCOPE}
    c.JupyterHub.services.append({"name": exporting, "api_token": login.secret(settings, "backup_export_token")})
    c.JupyterHub.load_roles.append({"name": exporting, "scopes": [export.SCOPE], "services": [exporting]})
    c.JupyterHub.extra_handlers.extend([*export.handlers(settings.root / "hub"), *restored_api.handlers(settings)])
    backup_page.configure(c, settings)


def _monitoring(c: Any, settings: Settings) -> None:
    """Prometheus may read the hub's metrics, and nothing else."""
    c.JupyterHub.services.append({"name": "prometheus", "api_token": login.secret(settings, "prometheus_token")})
    c.JupyterHub.load_roles.append({"name": "prometheus", "scopes": ["read:metrics"], "services": ["prometheus"]})


def prepare(settings: Settings, site_file: Path) -> None:
    """What must be true before the hub binds its port: nobody unmeant can log in, no room is named like a person,
    tokens stay in memory, Docker answers, the network is there, the profiles make sense. Raises OperatorError.
    """
    login.check(settings)
    room_names.check(site_file, settings)
    _require_tmpfs(settings)
    try:
        client = docker.APIClient(version="auto", **kwargs_from_env())
        network.ensure(client, settings)
        gpus.check(gpus.find(settings.gpus, client.info().get("CDISpecDirs") or ()).devices, settings.gpus)
    except DockerException as error:
        raise OperatorError(f"Docker is not running or does not answer: {error}") from error
    profiles = options.profile_list_of(settings)
    options.parse_profiles(profiles)
    if ignored := options.ignored_keys(profiles):
        print(f"mlinfn: only Kubernetes knows these keys, they are ignored: {', '.join(ignored)}", file=sys.stderr)


def check(c: Any) -> None:
    """Nothing if what files of jupyterhub_config.d set may be set. Raises OperatorError."""
    for owner in ("DockerSpawner", "EngineSpawner", "MLINFNSpawner"):
        host = c[owner].get("extra_host_config") or {} if owner in c else {}
        host = host.get_value({}) if isinstance(host, LazyConfigValue) else host
        if refused := container.refused_keys(host if isinstance(host, dict) else {}):
            raise OperatorError(f"c.{owner}.extra_host_config may not hold {', '.join(refused)}: no lab gets these. "
                                "GPUs are lent by `gpus:` in mlinfn.yaml.")  # fmt: skip


def _require_tmpfs(settings: Settings) -> None:
    """Members' tokens are kept in memory only."""
    run = settings.root / "run"
    if settings.login != "local" and not files.is_tmpfs(run):
        raise OperatorError(f"{run} is not a tmpfs, so members' tokens would reach the disk. Mount it: mlinfn prepare")


def watch(settings: Settings) -> None:
    """Starts the reconciler in the running hub and, where there is an identity service, the refresher."""
    app = JupyterHub.instance()
    logging.getLogger("jupyterhub.mlinfn").parent = app.log  # else what our modules say is lost, or without a date
    disable_created_metrics()  # Prometheus does nothing with them, and there is one for each counter and histogram
    starts.expect(each.slug for each in options.parse_profiles(options.profile_list_of(settings)))
    client = docker.APIClient(version="auto", **kwargs_from_env())

    def is_up() -> bool:
        return getattr(app, "http_server", None) is not None

    work = [reconcile.run_forever(client, settings.instance, lambda: _claimed(app), is_up)]
    EngineSpawner.lend(Lending(settings.gpus, str(settings.root), client, ThreadPoolExecutor(4, "gpus")))
    folder = settings.root / gpus.mapping.FOLDER if settings.monitoring.enabled else None
    accounts = gpu_accounts.Accounts(EngineSpawner.shared_lending, lambda name: _first_group(app, name),
                                     named=settings.monitoring.per_person, folder=folder)  # fmt: skip
    accounts.register()
    work += [_keep_gpus_known(), accounts.run(), room_accounts.keep(app, rooms_of(settings), is_up)]
    if settings.monitoring.enabled:
        people = census.Census(app, rooms_of(settings), named=settings.monitoring.per_person)
        people.register()
        work += [people.run(is_up), _labs_seen(settings).run()]
    if settings.login != "local":
        work.append(sessions.Refresher(app, _rules(settings)).run(is_up))
    loop = asyncio.get_running_loop()
    watch.tasks = [loop.create_task(each) for each in work]  # kept: asyncio itself holds tasks only weakly


async def _keep_gpus_known() -> None:
    """Devices that come and go are noticed also while nobody asks for one."""
    while True:
        try:
            await EngineSpawner.shared_lending().known()
        except Exception:  # the outermost loop: what a driver says once must not end it
            log.exception("Nobody could look which GPUs there are")
        await asyncio.sleep(gpus.EVERY_S)


def _labs_seen(settings: Settings) -> lab_accounts.Accounts:
    client = docker.APIClient(version="auto", timeout=lab_accounts.ANSWER_S, **kwargs_from_env())
    engine = lab_accounts.DockerLabs(client, settings.instance)
    seen = lab_accounts.Accounts(engine, named=settings.monitoring.per_person)
    seen.register()
    return seen


def _first_group(app: JupyterHub, name: str) -> str:
    """The first of a person's groups by name, empty for who is in none or has gone."""
    user = orm.User.find(app.db, name)
    return min((group.name for group in user.groups), default="") if user else ""


def _rules(settings: Settings) -> sessions.Rules:
    grace_s = seconds_of(settings.iam.grace) if settings.iam.grace else 0
    return sessions.Rules(settings.root, seconds_of(settings.iam.refresh), grace_s)


def _claimed(app: JupyterHub) -> frozenset[str]:
    """Names of the containers that the database, a spawner or a restore holds: running, starting or stopping."""
    kept = (row.state or {} for row in app.db.query(orm.Spawner).filter(orm.Spawner.server != None))  # noqa: E711
    names = {state.get("object_name", "") for state in kept}
    live = (spawner for user in app.users.values() for spawner in user.spawners.values())
    names |= {spawner.object_name for spawner in live if spawner.active or spawner.pending}
    return frozenset(names | restored_api.UNDER_WAY)
