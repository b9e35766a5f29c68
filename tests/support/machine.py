"""Empty machines: privileged containers of the test's own, each with its own network, processes and Docker Engine."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from support import machine_image, secrecy
from support.engine import remove_all
from support.machine_image import tar_of
from support.places import CHECKOUT, test_name
from support.throttle import Relay

SECRETS = "cat /srv/mlinfn/secrets/*/*_* /srv/mlinfn/run/labs/*/bearer_token 2>/dev/null"
LOGS = "docker ps -aq | xargs -r -n1 docker logs 2>&1; cat /var/log/dockerd.log"
START_ENGINE = "rm -f /var/run/docker.pid; setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &"


@dataclass(frozen=True)
class Result:
    """What a command on a machine ended with."""

    status: int
    output: str
    took_s: float


class Machine:
    """One such machine. Everything on it goes when it is removed."""

    def __init__(self, container: Container):
        self.container = container

    @property
    def address(self) -> str:
        """Its address on this machine's bridge."""
        self.container.reload()
        return next(iter(self.container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]

    def try_run(self, command: str, timeout_s: float = 120, typed: str = "", **environment: str) -> Result:
        """What a shell command on the machine ended with, also if it failed. Raises TimeoutExpired past the limit."""
        began = time.monotonic()
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        argv = ["docker", "exec", "--interactive", *variables, self.container.id, "bash", "-c", command]
        done = subprocess.run(argv, input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout_s)  # fmt: skip
        return Result(done.returncode, done.stdout, time.monotonic() - began)

    def run(self, command: str, timeout_s: float = 120, **environment: str) -> str:
        """The output of a shell command on the machine. Raises AssertionError with it if the command failed."""
        result = self.try_run(command, timeout_s, **environment)
        assert result.status == 0, f"{command!r} ended with {result.status}:\n{result.output[-6000:]}"
        return result.output

    def put(self, files: bytes, folder: str = "/") -> None:
        """Unpack a tar on the machine."""
        self.container.put_archive(folder, files)

    def put_checkout(self, folder: str = "/opt/mlinfn") -> None:
        """A clean clone of what is committed here, at `folder`."""
        self.put_folder(cloned("--depth=1"), folder)

    def put_repository(self, address: str) -> None:
        """What is committed here, and was before, is what git on the machine finds at this address."""
        self.put_folder(cloned("--bare"), "/repository")
        self.put(tar_of({"etc/gitconfig": f'[url "file:///repository"]\n\tinsteadOf = {address}\n'}))

    def put_folder(self, files: bytes, folder: str) -> None:
        """Unpack a tar in a folder that need not be there."""
        self.run(f"mkdir -p {folder}")
        self.put(files, folder)

    def forward(self, port: int) -> Relay:
        """A way from this machine's loopback to the same port on that machine's; the caller stops it."""
        self.container.reload()
        netns = f"/proc/{self.container.attrs['State']['Pid']}/ns/net"
        return Relay(("127.0.0.1", port), ("127.0.0.1", port), netns=netns)

    def start_engine(self) -> None:
        """Start the machine's own engine and wait until it answers."""
        self.run(START_ENGINE)
        self.run("for i in $(seq 300); do docker info >/dev/null 2>&1 && exit 0; sleep 0.1; done; "
                 "tail -30 /var/log/dockerd.log; exit 1")  # fmt: skip

    def read_logs(self) -> None:
        """What engine and containers of the machine wrote may have no secret of its instance, nor any other."""
        for secret in self.try_run(SECRETS).output.split():
            secrecy.run.keep(secret)
        secrecy.run.read(f"machine {self.container.name}", self.try_run(LOGS).output.encode())

    def load_images(self) -> None:
        """Load the archive of our images, mounted at /archive, into the machine's engine."""
        self.run("docker load -q -i /archive/images.tar", timeout_s=300)


def cloned(*flags: str) -> bytes:
    """A tar of a clone, whose branch `ours` is what is committed here, whatever is checked out and by which name."""
    with tempfile.TemporaryDirectory() as clone:
        for words in (["clone", "-q", *flags, f"file://{CHECKOUT}", clone], ["-C", clone, "branch", "-qf", "ours"],
                      ["-C", clone, "symbolic-ref", "HEAD", "refs/heads/ours"]):  # fmt: skip
            subprocess.run(["git", *words], check=True, capture_output=True)
        pack = ["tar", "-C", clone, "--owner=0", "--group=0", "-c", "."]
        return subprocess.run(pack, check=True, capture_output=True).stdout


def start(client: docker.DockerClient, image: str, name: str, archive: Path | None = None, suite: str = "bookworm"):
    """A running Machine of `image`, trusting and asking the same archives as this one."""
    volumes = {f"{name}-docker": {"bind": "/var/lib/docker"}, f"{name}-srv": {"bind": "/srv"}}
    if archive:
        volumes[str(archive)] = {"bind": "/archive/images.tar", "mode": "ro"}
    container = client.containers.run(
        image, ["sleep", "infinity"], name=name, hostname=name, init=True, detach=True, privileged=True,
        volumes=volumes, tmpfs={"/run": "", "/tmp": ""}, labels={"it.infn.mlinfn.test": name},
    )  # fmt: skip
    machine = Machine(container)
    machine.put(machine_image.site_files(suite))
    machine.run("mount --make-rshared / && update-ca-certificates", timeout_s=60)
    return machine


@pytest.fixture
def bare_machine(engine: docker.DockerClient) -> Iterator[Machine]:
    """A machine with Debian 12 as debootstrap leaves it, and nothing else."""
    name = test_name()
    try:
        machine = start(engine, machine_image.bare_image(engine), name)
        yield machine
        machine.read_logs()
    finally:
        remove_all(engine, name)


@pytest.fixture(scope="session")
def ready_image(engine: docker.DockerClient) -> str:
    """Tag of a machine with the engine that install.sh puts on a bare one; made once."""
    bare = machine_image.bare_image(engine)
    tag = bare.replace(":", ":ready-")
    with machine_image.once("machine-ready"):
        if not machine_image.has_image(engine, tag):
            _make_ready(engine, bare, tag)
    return tag


def _make_ready(client: docker.DockerClient, bare: str, tag: str) -> None:
    name = test_name()
    try:
        machine = start(client, bare, name)
        machine.put_checkout()
        machine.run("cd /opt/mlinfn && ./install.sh --engine-only", timeout_s=600)
        machine.run("apt-get install -y --no-install-recommends curl iproute2 nftables >/dev/null; rm -rf /opt/mlinfn")
        repository, version = tag.split(":")
        machine.container.commit(repository, version)
    finally:
        remove_all(client, name)


@pytest.fixture(scope="module")
def new_machine(engine: docker.DockerClient, ready_image: str, archive: Path) -> Iterator[Callable[[], Machine]]:
    """Call it for a machine with a running engine that has all our images; it is gone after the module's tests."""
    names, machines = [], []

    def make() -> Machine:
        names.append(test_name())
        machine = start(engine, ready_image, names[-1], archive)
        machines.append(machine)
        machine.start_engine()
        machine.load_images()
        return machine

    yield make
    for machine in machines:
        machine.read_logs()
    for name in names:
        remove_all(engine, name)


@pytest.fixture(scope="module")
def machine(new_machine: Callable[[], Machine]) -> Machine:
    """One machine with engine and images for all tests of a module."""
    return new_machine()
