"""Real JupyterHub processes: stock ones with a config of the test's own, and whole instances of ours."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from support import secrecy
from support.client import API, Visitor
from support.npm import NODE
from support.places import free_ports
from support.process import Program
from support.wait import until

START_S = 60
LAST_LINES = 80
# A token for the test itself, which may do everything; whatever services and roles the config above it has stay.
FOOTER = """
c.JupyterHub.services.append({{"name": "tests", "api_token": {token!r}}})
c.JupyterHub.load_roles.append({{
    "name": "tests", "services": ["tests"],
    "scopes": ["admin:users", "admin:servers", "admin:groups", "list:users", "access:servers", "proxy", "shutdown"],
}})
"""
STOCK = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {port} + 2
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + str({port} + 1)
c.ConfigurableHTTPProxy.command = {command!r}
c.ConfigurableHTTPProxy.pid_file = {pid_file!r}
c.JupyterHub.db_url = "sqlite:///" + {database!r}
c.JupyterHub.cookie_secret_file = {cookie!r}
"""


class Hub(Program):
    """A JupyterHub with its config in `folder`, public on `port`, and an API client that may do everything."""

    def __init__(self, folder: Path, port: int, config: str, environment: dict[str, str] | None = None):
        token = secrecy.run.keep(secrets.token_hex(16))
        self.port, self.api = port, API(port, token)
        self.config = folder / "jupyterhub_config.py"
        self.config.write_text(config + FOOTER.format(token=token))
        argv = [sys.executable, "-m", "jupyterhub", "-f", str(self.config)]
        super().__init__(argv, folder / "hub.log", environment, folder)

    def start(self) -> None:
        """Start it and wait until it answers. Raises AssertionError with its log if it ends instead."""
        super().start()
        until(lambda: self.answers() or not self.is_running, START_S, "the hub to answer")
        assert self.is_running, self.text()[-6000:]

    def answers(self) -> bool:
        """Whether the hub itself, not the proxy for it, answers."""
        try:
            return self.api.request("GET", "/", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def visitor(self, host: str = "127.0.0.1") -> Visitor:
        """Somebody with a browser and no cookies yet."""
        return Visitor(self.port, host)


@contextmanager
def running_stock_hub(folder: Path, proxy_command: list[str], config: str, **environment: str) -> Iterator[Hub]:
    """A running JupyterHub that has these lines of configuration, ports and paths set, and nothing else."""
    port = free_ports()
    paths = {name: str(folder / name) for name in ("pid_file", "database", "cookie")}
    path = f"{Path(sys.executable).parent}:{NODE / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
    stock = STOCK.format(port=port, command=proxy_command, **paths)
    hub = Hub(folder, port, stock + config, {"PATH": path, **environment})
    try:
        hub.start()
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def stock_hub(tmp_path: Path, proxy_command: list[str], request: pytest.FixtureRequest) -> Iterator[Callable]:
    """Call it once with lines of configuration for such a hub."""
    with ExitStack() as stack:
        made: list[Hub] = []

        def make(config: str, **environment: str) -> Hub:
            made.append(stack.enter_context(running_stock_hub(tmp_path, proxy_command, config, **environment)))
            return made[-1]

        yield make
        for hub in made:
            show_log(hub, request)


def show_log(program: Program, request: pytest.FixtureRequest) -> None:
    """Print the end of a program's log if the test failed."""
    if getattr(request.node, "failed", False):
        print(f"--- {program.log}\n" + "\n".join(program.text().splitlines()[-LAST_LINES:]))
