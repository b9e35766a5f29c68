"""A second Docker Engine on this machine, which hands out GPUs that do not exist, through CDI or as NVIDIA's hook does.

Its devices are nodes of /dev/null under NVIDIA's names. The machine's own engine and its settings are left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from support.places import CACHE, free_subnet, test_name
from support.process import Program
from support.wait import until

UUIDS = tuple(f"GPU-{number}{number}{number}{number}0000-0000-4000-8000-00000000000{number}" for number in range(4))
# What NVIDIA's runtime does before a container's program starts, as far as device nodes go.
HOOK = """#!/bin/sh
set -eu
[ "${{1:-}}" = prestart ] || exit 0
state=$(cat)
pid=$(printf '%s' "$state" | {python} -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
bundle=$(printf '%s' "$state" | {python} -c 'import json, sys; print(json.load(sys.stdin)["bundle"])')
{python} - "$bundle/config.json" <<'END' | while read -r rootfs number; do
import json, sys
config = json.load(open(sys.argv[1]))
wanted = dict(line.split("=", 1) for line in config["process"]["env"]).get("NVIDIA_VISIBLE_DEVICES", "void")
cards = {cards}
for uuid, number in cards.items():
    if wanted == "all" or uuid in wanted.split(",") or number in {too_many}:
        print(config["root"]["path"], number)
END
    nsenter --target "$pid" --mount -- mknod -m 666 "$rootfs/dev/nvidia$number" c 1 3
done
"""
# What NVIDIA's runtime is: runc, with that hook in every container.
RUNTIME = """#!{python}
import json, os, sys
if "create" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        config = json.load(file)
    hooks = config.setdefault("hooks", {{}}).setdefault("prestart", [])
    if not any("nvidia" in hook["path"] for hook in hooks):
        hooks.append({{"path": "{hook}", "args": ["nvidia-container-runtime-hook", "prestart"]}})
        with open(path, "w") as file:
            json.dump(config, file)
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


class GPUEngine(Program):
    """The engine. Images have to be given to it; networks of its containers are the machine's."""

    def __init__(self, folder: Path, runtime: str = "runc"):
        self.place, self.runtime = folder, runtime
        self.socket = f"unix://{folder}/docker.sock"
        self.specifications = folder / "cdi"
        self.bridge = f"{test_name()}-gpu"
        self._lay_out()
        argv = ["dockerd", f"--config-file={folder}/daemon.json", f"--host={self.socket}", f"--data-root={folder}/data",
                f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid", f"--bridge={self.bridge}",
                "--iptables=false", "--ip6tables=false"]  # fmt: skip
        path = f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        CACHE.mkdir(exist_ok=True)  # its log stays when its folder goes
        super().__init__(argv, CACHE / f"gpu-engine-{runtime}.log", {"PATH": path})

    def _lay_out(self) -> None:
        for name in ("cdi", "bin"):
            (self.place / name).mkdir()
        runtime = self.place / "bin/nvidia-container-runtime"
        hook = self.place / "bin/nvidia-container-runtime-hook"
        runtime.write_text(RUNTIME.format(python=shutil.which("python3"), hook=hook))
        runtime.chmod(0o755)
        settings = {"features": {"cdi": True}, "cdi-spec-dirs": [str(self.specifications)],
                    "runtimes": {"nvidia": {"path": str(runtime)}}, "default-runtime": self.runtime}  # fmt: skip
        (self.place / "daemon.json").write_text(json.dumps(settings))
        self._give()

    def _give(self, *too_many: int) -> None:
        """What CDI and the hook give from now on: the cards asked for and, if it is to be wrong, these."""
        (self.specifications / "nvidia.json").write_text(json.dumps(specification(UUIDS, *too_many)))
        hook = self.place / "bin/nvidia-container-runtime-hook"
        cards = repr({uuid: number for number, uuid in enumerate(UUIDS)})
        python = shutil.which("python3")
        hook.write_text(HOOK.format(python=python, cards=cards, too_many=list(too_many)))
        hook.chmod(0o755)

    @contextmanager
    def giving_too_much(self, number: int) -> Iterator[None]:
        """Inside the block every container with a GPU gets this card as well."""
        self._give(number)
        try:
            yield
        finally:
            self._give()

    @contextmanager
    def specifying(self, content: dict) -> Iterator[None]:
        """Inside the block this is the specification of its devices."""
        (self.specifications / "nvidia.json").write_text(json.dumps(content))
        try:
            yield
        finally:
            self._give()

    def client(self) -> docker.DockerClient:
        """A client of this engine."""
        return docker.DockerClient(self.socket, timeout=120)

    def start(self) -> None:
        """Start it and wait until it answers. Without a bridge of its own it would delete the other engine's."""
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("address", "add", f"{free_subnet()[1]}/24", "dev", self.bridge)
        super().start()
        until(self._answers, 60, "the engine with GPUs")

    def load(self, image: str) -> None:
        """Give it an image of the machine's own engine."""
        saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        subprocess.run(["docker", "--host", self.socket, "load", "--quiet"], stdin=saved.stdout, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        assert saved.wait() == 0

    def close(self) -> None:
        """End it and remove what it kept."""
        for container in self.client().containers.list(all=True):
            container.remove(force=True)
        self.client().networks.prune()
        self.stop()
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(str(self.place)):
                subprocess.run(["umount", "--lazy", place], check=False)
        _ip("link", "delete", self.bridge)
        until(self._is_gone, 30, f"{self.place} to be free")

    def _is_gone(self) -> bool:
        shutil.rmtree(self.place, ignore_errors=True)  # what it started ends a moment after it
        return not self.place.exists()

    def _answers(self) -> bool:
        assert self.is_running, self.text()[-3000:]
        try:
            return self.client().ping()
        except DockerException:
            return False


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def specification(uuids: tuple[str, ...], *too_many: int) -> dict:
    """A CDI specification as NVIDIA's tools write it, with /dev/null in the place of each card."""
    cards = [{"path": f"/dev/nvidia{number}", "hostPath": "/dev/null"} for number, _ in enumerate(uuids)]
    devices = [{"name": uuid, "containerEdits": {"deviceNodes": [card]}}
               for uuid, card in zip(uuids, cards, strict=True)]  # fmt: skip
    control = {"path": "/dev/nvidiactl", "hostPath": "/dev/null"}
    everybodys = [control, *(cards[number] for number in too_many)]
    common = {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "deviceNodes": everybodys}
    devices.append({"name": "all", "containerEdits": {"deviceNodes": cards}})
    return {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": common}


def slices(uuids: Mapping[str, int], *too_many: int) -> dict:
    """A CDI specification of MIG slices of one card; each has a right of its own, the node of this number."""
    card = {"path": "/dev/nvidia0", "hostPath": "/dev/null"}
    devices = [{"name": uuid, "containerEdits": {"deviceNodes": [card, _right(number)]}}
               for uuid, number in uuids.items()]  # fmt: skip
    common = {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "deviceNodes": [_right(number) for number in too_many]}
    return {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": common}


def _right(number: int) -> dict[str, str]:
    return {"path": f"/dev/nvidia-caps/nvidia-cap{number}", "hostPath": "/dev/null"}


@pytest.fixture(scope="module")
def gpu_engine(mini_image: str) -> Iterator[GPUEngine]:
    """A running engine with four GPUs and the image of the mini lab."""
    with _running(mini_image) as engine:
        yield engine


@pytest.fixture(scope="module")
def nvidia_engine(mini_image: str) -> Iterator[GPUEngine]:
    """The same where NVIDIA's runtime is the default one."""
    with _running(mini_image, "nvidia") as engine:
        yield engine


@contextmanager
def _running(mini_image: str, *runtime: str) -> Iterator[GPUEngine]:
    # Short: its sockets have long names.
    engine = GPUEngine(Path(tempfile.mkdtemp(prefix="gpus-", dir="/tmp")), *runtime)
    try:
        engine.start()
        engine.load(mini_image)
        yield engine
    finally:
        engine.close()
