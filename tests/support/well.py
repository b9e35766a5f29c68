"""A machine on which everything is well, as far as `mlinfn doctor` can see it, and which can be broken at each place.

Programs are scripts on a PATH of its own that say what is in files; files of the system lie in a folder; the hub, the
guard, the identity service, the registry and the resolver are real servers on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from jupyterhub_mlinfn.backup import state
from jupyterhub_mlinfn.cli import backup_service, compose, facts, ground
from jupyterhub_mlinfn.cli.checks import DOCTOR, findings
from jupyterhub_mlinfn.cli.finding import Finding
from jupyterhub_mlinfn.cli.site import Site
from support.edge import Edge

REAL = ("sh", "cat", "test", "getent", "ss", "sleep")
"""Programs that are the real ones."""
CARD, OLD_CARD = "GPU-5c1f0a12-0000-4000-8000-000000000001", "GPU-5c1f0a12-0000-4000-8000-00000000dead"
NVIDIA = os.makedev(195, 0)
FILES = {
    "etc/os-release": "NAME=Debian\nID=debian\n",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nkeeper:x:1000:1000::/home/keeper:/bin/sh\n",
    "etc/group": "root:x:0:\nkeeper:x:1000:\n",
    "etc/shadow": "root:*:19000::::::\nkeeper:*:19000::::::\n",
    "etc/subuid": "keeper:100000:65536\n",
    "etc/subgid": "keeper:100000:65536\n",
    "etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n",
    "etc/docker/daemon.json": '{"log-driver": "json-file"}',
    "proc/swaps": "Filename Type Size Used Priority\n",
    "proc/sys/fs/inotify/max_user_instances": "128\n",
    "proc/sys/fs/inotify/max_user_watches": "192536\n",
    "proc/sys/kernel/pid_max": "4194304\n",
    "proc/sys/net/ipv4/ip_forward": "1\n",
    "proc/sys/vm/overcommit_memory": "0\n",
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
}
"""Files of the system, by their paths without the first slash."""
SAYS = {
    "nvidia-smi": CARD,
    "nvidia-ctk": "NVIDIA Container Toolkit CLI version 1.18.1\ncommit: 0",
    "timedatectl": "Timezone=UTC\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes",
}
"""What programs say."""
INFO = {
    "ServerVersion": "28.2.2", "LiveRestoreEnabled": True, "BridgeNfIptables": True, "IPv4Forwarding": True,
    "CgroupDriver": "systemd", "MemoryLimit": True, "SwapLimit": True, "PidsLimit": True, "CpuCfsQuota": True,
    "SecurityOptions": ["name=seccomp,profile=builtin"], "Runtimes": {"runc": {}},
}  # fmt: skip
DOCKER = """#!/bin/sh
cd '{answers}' || exit 1
case $1 in
    info) cat info.json ;;
    ps) cat rows ;;
    images) cat images ;;
    compose) cat compose; exit "$(cat compose.code)" ;;
esac
"""


class WellMachine:
    """A prepared instance and all that is around it. `path` is the PATH for programs that look at it."""

    def __init__(self, folder: Path, edge: Edge):
        self.folder, self.edge = folder, edge
        self.world, self.answers, self.path = folder / "world", folder / "answers", folder / "bin"
        self.root, self.config, self.info = folder / "root", folder / "mlinfn.yaml", dict(INFO)
        self.disks: list[Path] = []
        self.strangers: list[socket.socket] = []
        for each in (self.answers, self.path):
            each.mkdir()
        self._system()
        self._programs()
        self.settings()

    def _system(self) -> None:
        for name, text in FILES.items():
            self.file(name, text)
        self.file("etc/resolv.conf", f"nameserver {self.edge.resolver.address}\n")
        (self.world / "dev/char").mkdir(parents=True)
        os.mknod(self.world / "dev/nvidia0", stat.S_IFCHR | 0o666, NVIDIA)
        (self.world / "dev/char/195:0").symlink_to("../nvidia0")
        self.specification(CARD, "/dev/null")
        (self.folder / "engine").mkdir()
        self.engine(DockerRootDir=str(self.folder / "engine"), CDISpecDirs=[str(self.world / "etc/cdi")])

    def _programs(self) -> None:
        for name in REAL:
            (self.path / name).symlink_to(shutil.which(name))
        self.program("docker", DOCKER.format(answers=self.answers))
        for name, text in SAYS.items():
            self.says(name, text)
        for name, text in {"compose": "2.39.1", "compose.code": "0", "images": "", "rows": ""}.items():
            (self.answers / name).write_text(text)

    def file(self, name: str, text: str) -> None:
        """A file of the system."""
        path = self.world / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def specification(self, card: str, node: str) -> None:
        """What Docker was told of GPUs."""
        self.file("etc/cdi/nvidia.yaml", json.dumps(self.specified(card, node)))

    def specified(self, card: str, node: str) -> dict:
        """A specification of one card with one device node."""
        device = {"name": card, "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "hostPath": node}]}}
        return {"kind": "nvidia.com/gpu", "devices": [device]}

    def program(self, name: str, text: str) -> None:
        """A program on the PATH."""
        path = self.path / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def says(self, name: str, text: str, code: int = 0) -> None:
        """A program that says this and ends with that code."""
        (self.answers / name).write_text(f"{text}\n")
        self.program(name, f"#!/bin/sh\ncat '{self.answers / name}'\nexit {code}\n")

    def without(self, name: str) -> None:
        """The program is not installed."""
        (self.path / name).unlink()

    def engine(self, **changed) -> None:
        """What the Engine says of itself, with these changes."""
        self.info |= changed
        (self.answers / "info.json").write_text(json.dumps(self.info))

    def settings(self, **changed) -> None:
        """mlinfn.yaml, with these changes."""
        images = [{"slug": "lab", "title": "Lab", "image": "mlinfn/lab:1"},
                  {"slug": "other", "title": "Other", "image": f"{self.edge.registry.place}/lab:1"}]  # fmt: skip
        given = {"instance": "mlinfntest-doctor", "root": str(self.root), "port": self.edge.port, "login": "iam",
                 "iam": {"issuer": f"http://{self.edge.issuer.place}", "allowed_groups": ["a"]}, "images": images,
                 "backup": {"targets": [str(self.folder / "copies")]}, "monitoring": {"enabled": False}}  # fmt: skip
        self.config.write_text(json.dumps(given | changed))

    def public(self, host: str, **changed) -> None:
        """People come by a name of the DNS, with these changes of mlinfn.yaml."""
        self.settings(host=host, tls={"plain_http": "accepted"}, **changed)

    def prepare(self) -> None:
        """Folders, secrets and the tmpfs are there, and services run with images of ours."""
        self.disk("copies", "size=1m")
        ground.folders(self.root)
        (self.root / "secrets/hub").mkdir(mode=0o700)
        for name in ("iam_client_id", "iam_client_secret"):
            (self.root / "secrets/hub" / name).write_text("x\n")
        site = self.site
        ground.prepare(site, fstab=self.world / "etc/fstab")
        self._past()
        names = [*compose.expected(site.settings), *compose.optional(site)]
        rows = [f"running\tUp 2 hours (healthy)\t{site.settings.instance}\t{name}\t\t{name}\t" for name in names]
        (self.answers / "rows").write_text("\n".join(rows))
        images = (*compose.service_images(site.settings), *(each.image for each in site.settings.images))
        (self.answers / "images").write_text("\n".join(images))

    def _past(self) -> None:
        """The hub has found the identity service, and the service for backups its target."""
        (self.root / "hub/identity-service.json").write_text(json.dumps({"ok": True, "reason": "", "since": 0}))
        now = datetime.now(timezone.utc).isoformat()
        state.save(self.root / "backup", state.State(str(self.folder / "copies"), begun=now, ended=now, good=now))
        key = self.root / "secrets/backup/backup_key"
        key.with_name(backup_service.SHOWN).write_text(backup_service.fingerprint(key))

    @property
    def site(self) -> Site:
        """The instance, with the settings of now."""
        return Site(self.config)

    def doctor(self) -> list[Finding]:
        """What doctor says now."""
        return findings(DOCTOR, facts.gather(self.site, whole=True, world=self.world))

    def disk(self, name: str, options: str) -> Path:
        """A folder on a disk of its own, in memory."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        self.disks.append(folder)
        return folder

    def listen(self, port: int) -> None:
        """Somebody else's program has a port."""
        self.strangers.append(socket.create_server(("127.0.0.1", port)))

    def close(self) -> None:
        """Nothing is mounted any more, and nobody listens."""
        for stranger in self.strangers:
            stranger.close()
        for folder in (self.root / "run", *self.disks):
            subprocess.run(["/usr/bin/umount", folder], capture_output=True)


@pytest.fixture
def well_machine(tmp_path, edge, monkeypatch):
    """A machine on which everything is well."""
    machine = WellMachine(tmp_path, edge)
    edge.be_well()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(machine.path), prepend=os.pathsep)
        machine.prepare()
    monkeypatch.setenv("PATH", str(machine.path))
    yield machine
    machine.close()
