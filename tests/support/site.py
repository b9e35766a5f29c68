"""A whole instance of ours without Compose: hub and proxy as processes, labs on the machine's engine."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from ruamel.yaml import YAML

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.cli import ground
from jupyterhub_mlinfn.settings import Settings
from support import secrecy
from support.client import API, Visitor
from support.engine import containers_of, remove_all, show_evidence
from support.guard import Guard
from support.hub import Hub, show_log
from support.places import CHECKOUT, free_ports, free_subnet, test_name
from support.proxy import Proxy

EVERY_SECRET = ground.readers(Settings(login="demo", groups=["all"], rooms="each-group"))
"""Also those of services that a site has only later."""
CONFIG = """
load_subconfig({base!r})
{extra}
"""


class Site:
    """One instance in a folder: its settings, people, proxy and hub. Nothing runs before `start`."""

    def __init__(self, folder: Path, instance: str, proxy_command: list[str], engine: docker.DockerClient):
        self.folder, self.instance, self.proxy_command, self.engine = folder, instance, proxy_command, engine
        self.port = free_ports()
        self.root = folder / "root"
        self.environment: dict[str, str] = {"MLINFN_CONFIG": str(folder / "mlinfn.yaml")}
        self.settings = {
            "instance": instance, "root": str(self.root), "port": self.port,
            "network": {"labs_subnet": str(free_subnet())},
            "sizes": {"memory": ["512M", "1G"], "cpus": ["1", "2"]},
        }  # fmt: skip
        self.extra = ""
        self.people: set[str] = set()
        self.hub = self.proxy = self.guard = None

    def start(self, **settings) -> Site:
        """Write the settings, changed by these, and start guard, proxy and hub. Returns itself."""
        self.write_settings(**settings)
        self.make_folders()
        self.guard = Guard(self.port + 3)
        self.start_proxy()
        self.start_hub()
        return self

    def write_settings(self, **settings) -> None:
        """Put mlinfn.yaml in place, with these keys changed for good."""
        self.settings = {**self.settings, **copy.deepcopy(settings)}
        YAML().dump(self.settings, self.folder / "mlinfn.yaml")

    def make_folders(self) -> None:
        """The root folder, the secrets and, where labs have tokens, the tmpfs for them, as `mlinfn up` makes them."""
        ground.folders(self.root)
        ground.make_secrets(self.root / "secrets", EVERY_SECRET)
        secrecy.run.keep_from(lambda: secrecy.in_folder(self.root / "secrets"))
        secrecy.run.watch(self.root / "hub")
        if self.settings.get("login", "local") != "local":
            ground.tmpfs(self.root / "run", self.folder / "fstab")
        self.token = (self.root / "secrets/proxy/proxy_token").read_text().strip()

    @property
    def hub_address(self) -> str:
        """Where the hub listens, as labs see it."""
        subnet = self.settings["network"]["labs_subnet"].split("/")[0]
        return subnet.rsplit(".", 1)[0] + ".1"

    def start_proxy(self) -> None:
        """A new proxy without routes."""
        hub = f"http://{self.hub_address}:{self.port + 2}"
        routing = self.settings.get("subdomains", True)
        self.proxy = Proxy(self.proxy_command, self.port, self.token, self.folder / "proxy.log", hub, routing)
        self.proxy.start()

    def start_hub(self) -> None:
        """A hub on the database that is there, with the same tokens as before if there was one."""
        if self.hub is None:
            config = CONFIG.format(base=str(CHECKOUT / "config/jupyterhub_config.py"), extra=self.extra)
            self.hub = Hub(self.folder, self.port, config, self.environment)
        self.hub.start()

    @property
    def api(self) -> API:
        """The hub's API with a token that may do everything."""
        return self.hub.api

    def add_user(self, name: str, *, admin: bool = False, groups: tuple[str, ...] = ()) -> str:
        """The new password of a person who may now log in; the hub knows them already."""
        password = secrecy.run.keep(passwords.generated())
        person = passwords.Person(passwords.hashed(password), admin, groups)
        path = self.root / "hub/passwords.json"
        passwords.change(path, lambda people: passwords.added(people, passwords.check_name(name), person))
        if self.hub is not None and self.hub.is_running:
            self.api.add_user(passwords.check_name(name))
        self.people.add(name)
        return password

    def new_password(self, name: str) -> str:
        """Another password of somebody who may log in; the rest of them stays."""
        password = secrecy.run.keep(passwords.generated())
        new = passwords.hashed(password)
        passwords.change(self.root / "hub/passwords.json", lambda people: passwords.with_hash(people, name, new))
        return password

    def visitor(self) -> Visitor:
        """Somebody with a browser and no cookies yet."""
        return Visitor(self.port)

    def logged_in(self, name: str, **options) -> Visitor:
        """A new person's session after logging in."""
        visitor = self.visitor()
        answer = visitor.log_in(name, self.add_user(name, **options))
        assert answer.ok, answer.text
        return visitor

    def labs(self) -> list:
        """All containers of this instance, running or not."""
        return containers_of(self.engine, self.instance)

    def lab_of(self, name: str):
        """The container of a person's lab, or None."""
        mine = [c for c in self.labs() if c.labels.get("it.infn.mlinfn.user") == name]
        return mine[0] if mine else None

    def lab_answers(self, name: str) -> bool:
        """Whether the person's lab answers through the proxy."""
        return self.api.lab(name).request("GET", "").ok

    def stop(self, request: pytest.FixtureRequest | None = None) -> None:
        """End hub, proxy and guard; show the logs of a failed test."""
        for program in filter(None, (self.hub, self.proxy)):
            program.stop()
            if request is not None:
                show_log(program, request)
        if self.guard is not None:
            self.guard.stop()
        if os.path.ismount(self.root / "run"):
            subprocess.run(["umount", str(self.root / "run")], check=False)


@pytest.fixture
def mlinfn(tmp_path: Path, proxy_command: list[str], engine: docker.DockerClient,
           request: pytest.FixtureRequest) -> Iterator[Site]:  # fmt: skip
    """An instance for one test; call its `start`."""
    with closing_site(Site(tmp_path, test_name(), proxy_command, engine), request) as site:
        yield site


@contextmanager
def closing_site(site: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The site; afterwards its logs and containers are shown if something failed, and everything of it is removed."""
    try:
        yield site
    finally:
        site.stop(request)
        if getattr(request.node, "failed", False):
            show_evidence(site.engine, site.instance)
        remove_all(site.engine, site.instance)


@pytest.fixture
def lab_site(mlinfn: Site, lab_image: str) -> Callable[..., Site]:
    """Call it, with settings if they matter, for a running instance that offers our lab in two sizes."""

    def make(**settings) -> Site:
        images = [{"slug": "lab", "title": "JupyterLab", "image": lab_image}]
        return mlinfn.start(**{"images": images, **settings})

    return make
