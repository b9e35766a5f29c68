"""A whole instance as people run it: Compose's services of our images, on the machine's engine, with real labs."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import docker
import pytest
import requests
from docker.models.containers import Container
from ruamel.yaml import YAML

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.cli import compose, ground
from jupyterhub_mlinfn.cli.site import Site
from support import secrecy
from support.client import API
from support.engine import read_logs, remove_all, show_evidence
from support.hub import FOOTER
from support.places import CHECKOUT, free_ports, free_subnet, test_name
from support.wait import until

SERVICES = ("hub", "proxy", "guard")


class Stack:
    """One instance in a folder, which holds what a checkout holds for Compose: compose/, with .env, and config/."""

    def __init__(self, folder: Path, instance: str, engine: docker.DockerClient, **settings):
        self.folder, self.instance, self.engine = folder, instance, engine
        self.port = free_ports()
        self.subnet = free_subnet()
        self.root = folder / "root"
        self.settings = {
            "instance": instance, "root": str(self.root), "port": self.port,
            "network": {"labs_subnet": str(self.subnet)}, "sizes": {"memory": ["512M", "1G"], "cpus": ["1", "2"]},
            "images": [{"slug": "lab", "title": "JupyterLab", "image": "mlinfn/lab"}],
            "backup": {"targets": []}, "monitoring": {"enabled": False}, **settings,
        }  # fmt: skip
        token = secrecy.run.keep(secrets.token_hex(16))
        self.api = API(self.port, token)
        self.passwords: dict[str, str] = {}
        secrecy.run.keep_from(lambda: secrecy.in_folder(self.root / "secrets"))
        self._lay_out(FOOTER.format(token=token))

    def _lay_out(self, token_config: str) -> None:
        shutil.copytree(CHECKOUT / "compose", self.folder / "compose", ignore=shutil.ignore_patterns(".env"))
        hatch = self.folder / "config/jupyterhub_config.d"
        hatch.mkdir(parents=True)
        (hatch / "90-tests.py").write_text("c = get_config()\n" + token_config)
        self.write_settings()

    @property
    def config(self) -> Path:
        """mlinfn.yaml."""
        return self.folder / "config/mlinfn.yaml"

    def write_settings(self) -> None:
        """Put mlinfn.yaml in place."""
        YAML().dump(self.settings, self.config)

    def add_user(self, name: str, *, groups: tuple[str, ...] = ()) -> str:
        """The password of a person who may log in, known to the hub."""
        password = self.passwords[name] = secrecy.run.keep(passwords.generated())
        person = passwords.Person(passwords.hashed(password), False, groups)
        passwords.change(self.root / "hub/passwords.json", lambda people: passwords.added(people, name, person))
        self.api.add_user(name)
        return password

    def prepare(self) -> None:
        """What `mlinfn prepare` makes; its line for /etc/fstab goes to a file of the test's."""
        site = Site(self.config)
        ground.prepare(site, fstab=self.folder / "fstab")
        shutil.copy(site.env_file, self.folder / "compose/.env")

    def compose(self, *words: str, check: bool = True) -> str:
        """What plain `docker compose WORDS` printed in the folder compose/."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLINFN_")}
        done = subprocess.run(["docker", "compose", *words], cwd=self.folder / "compose", env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180)  # fmt: skip
        assert done.returncode == 0 or not check, f"docker compose {words}:\n{done.stdout}\n{self.logs()}"
        return done.stdout

    def up(self, *services: str) -> None:
        """`docker compose up`, and all of it is healthy. The logs of what is recreated are kept for the search."""
        read_logs(self.engine, self.instance)
        self.compose("up", "--detach", "--wait", "--wait-timeout", "90", *services)

    def logs(self, service: str = "") -> str:
        """The last lines of the services' logs."""
        words = ["docker", "compose", "logs", "--no-color", "--tail=60", *([service] if service else [])]
        return subprocess.run(words, cwd=self.folder / "compose", text=True, capture_output=True).stdout

    def service(self, name: str) -> Container:
        """The container of a service."""
        return self.engine.containers.get(f"{self.instance}-{name}")

    def is_healthy(self, name: str) -> bool:
        """Whether the engine says so at this moment."""
        state = self.service(name).attrs["State"]
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def wait_healthy(self, *names: str, timeout_s: float = 60) -> None:
        """Nothing, once these are healthy."""
        for name in names or compose.expected(Site(self.config).settings):
            until(lambda name=name: self.is_healthy(name), timeout_s, f"{name} to be healthy")

    def guard_health(self) -> requests.Response:
        """The guard's own answer."""
        return requests.get(f"http://127.0.0.1:{self.port + 3}/health", timeout=5)

    @cached_property
    def gateway(self) -> str:
        """The hub's address, as labs see it."""
        return str(self.subnet[1])

    def lab_of(self, name: str) -> Container:
        """The container of a person's lab."""
        return self.labs_of(name)[0]

    def labs_of(self, name: str) -> list[Container]:
        """The running containers of a person's labs."""
        labels = [f"it.infn.mlinfn.instance={self.instance}", f"it.infn.mlinfn.user={name}"]
        return self.engine.containers.list(filters={"label": labels})

    def listening(self) -> set[tuple[str, int]]:
        """Address and port offset of everything that listens on a port of the instance."""
        rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
        ends = [row[1].split(":") for row in rows if row[3] == "0A"]
        found = {(_address(address), int(port, 16) - self.port) for address, port in ends}
        return {(address, offset) for address, offset in found if 0 <= offset < 20}

    def close(self) -> None:
        """Nothing of it is left: services, labs, firewall, mount."""
        for token in self.root.glob("run/labs/*/bearer_token"):
            secrecy.run.keep(token.read_text())
        secrecy.run.watch(self.root / "hub")
        read_logs(self.engine, self.instance)
        self.compose("stop", "guard", check=False)  # it would put the rules back
        self.compose("run", "--rm", "--no-deps", "guard", "python3", "/opt/guard/guard.py", "remove", check=False)
        self.compose("down", "--timeout", "5", check=False)
        remove_all(self.engine, self.instance)
        if os.path.ismount(self.root / "run"):
            subprocess.run(["umount", str(self.root / "run")], check=False)


def _address(field: str) -> str:
    """ "127.0.0.1" of "0100007F"; IPv6 as it is."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(field))) if len(field) == 8 else field


@contextmanager
def running(folder: Path, engine: docker.DockerClient, request: pytest.FixtureRequest, **settings) -> Iterator[Stack]:
    """A stack that is up and well; gone afterwards, with evidence if a test of the scope failed."""
    stack = Stack(folder, test_name(), engine, **settings)
    failures = request.session.testsfailed
    try:
        stack.prepare()
        stack.up()
        yield stack
    except BaseException:
        failures = -1
        raise
    finally:
        try:
            if request.session.testsfailed != failures:
                print(stack.logs())
                show_evidence(engine, stack.instance)
        finally:
            stack.close()


@pytest.fixture(scope="module")
def stack_settings() -> dict:
    """Settings of the module's stack that differ; modules override this."""
    return {}


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, images: dict[str, str], stack_settings: dict,
          tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:  # fmt: skip
    """Hub, proxy and guard in containers, healthy, with our lab to pick; one for all tests of a module."""
    with running(tmp_path_factory.mktemp("stack"), engine, request, **stack_settings) as stack:
        yield stack
