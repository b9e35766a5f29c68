"""A real container registry on loopback, as slow as a test wants it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from support.engine import remove_all
from support.places import free_ports, test_name
from support.process import Program
from support.throttle import Relay
from support.wait import until

CONFIG = """
version: 0.1
log: {{level: info}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    """docker-registry on `port`, and a slow road to it on `slow.port`."""

    def __init__(self, folder: Path, engine: docker.DockerClient):
        self.engine, self.port = engine, free_ports(1)
        config = folder / "registry.yml"
        config.write_text(CONFIG.format(folder=folder / "images", port=self.port))
        self.program = Program(["docker-registry", "serve", str(config)], folder / "registry.log")
        self.program.start()
        until(self._answers, 20, "the registry")
        self.slow = Relay(("127.0.0.1", self.port), ("127.0.0.1", 0))

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/v2/", timeout=2).ok
        except requests.ConnectionError:
            return False

    def publish(self, image: str, megabytes: int) -> str:
        """A reference, over the slow road, of `image` plus a layer of so many MB that nobody has yet."""
        name = test_name()
        reference = f"127.0.0.1:{self.port}/{name}:1"
        fill = ["dd", "if=/dev/urandom", "of=/ballast", "bs=1M", f"count={megabytes}", "status=none"]
        maker = self.engine.containers.run(image, fill, entrypoint="", user="0", name=name, detach=True)
        assert maker.wait()["StatusCode"] == 0, maker.logs()
        original = self.engine.images.get(image).attrs["Config"]
        changes = [f'USER {original["User"] or "0"}', f"ENTRYPOINT {_array(original['Entrypoint'])}",
                   f"CMD {_array(original['Cmd'])}"]  # fmt: skip
        maker.commit(reference.rsplit(":", 1)[0], "1", changes=changes)
        remove_all(self.engine, name)
        for line in self.engine.images.push(reference, stream=True, decode=True):
            assert "error" not in line, line
        self.engine.images.remove(reference)
        return reference.replace(f":{self.port}/", f":{self.slow.port}/")

    def pulls(self, reference: str) -> int:
        """How often somebody began to pull the image."""
        name = re.sub(r"^[^/]+/|:[^:/]+$", "", reference)
        asked = rf"(GET|HEAD) /v2/{re.escape(name)}/manifests/[^\" ]*"
        lines = [line for line in self.program.text().splitlines() if re.search(asked, line) and "HTTP/1" in line]
        return len([line for line in lines if "/manifests/1 " in line])


def _array(words: list[str] | None) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words or ()) + "]"


@pytest.fixture(scope="session")
def registry(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with nothing in it; its road is fast until a test sets `slow.bytes_per_s`."""
    made = Registry(tmp_path_factory.mktemp("registry"), engine)
    yield made
    made.slow.stop()
    made.program.stop()
    for image in engine.images.list():
        for tag in image.tags:
            if f":{made.port}/" in tag or f":{made.slow.port}/" in tag:
                engine.images.remove(tag, force=True)


@pytest.fixture(autouse=True)
def _fast_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's limit ends with it."""
    yield
    if "registry" in request.fixturenames:
        request.getfixturevalue("registry").slow.bytes_per_s = None
