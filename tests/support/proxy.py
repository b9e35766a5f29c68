"""configurable-http-proxy, at the version of our image, on the Node that PyPI carries."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from support.npm import NODE, npm_folder
from support.places import CHECKOUT
from support.process import Program
from support.wait import until


@pytest.fixture(scope="session")
def proxy_command() -> list[str]:
    """The command that starts configurable-http-proxy; installed once, from the lock file of our proxy's image."""
    modules = npm_folder("proxy", CHECKOUT / "images/proxy") / "node_modules"
    return [str(NODE / "bin/node"), str(modules / "configurable-http-proxy/bin/configurable-http-proxy")]


class Proxy(Program):
    """The proxy of one instance: public on `port`, its API on the next one."""

    def __init__(self, command: list[str], port: int, token: str, log: Path, hub: str, host_routing: bool):
        argv = [*command, "--ip=127.0.0.1", f"--port={port}", "--api-ip=127.0.0.1", f"--api-port={port + 1}",
                f"--default-target={hub}", f"--error-target={hub}/hub/error"]  # fmt: skip
        super().__init__(argv + (["--host-routing"] if host_routing else []), log, {"CONFIGPROXY_AUTH_TOKEN": token})
        self.port = port

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        until(self._is_well, 20, "the proxy")

    def _is_well(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/_chp_healthz", timeout=2).ok
        except requests.ConnectionError:
            return False
