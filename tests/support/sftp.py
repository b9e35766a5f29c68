"""A real OpenSSH server on loopback, for the files of one folder."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import free_ports
from support.process import Program
from support.wait import until

SETTINGS = """ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/ssh_key.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


class SFTP(Program):
    """The server, a key that opens it, and the line by which a client knows it."""

    def __init__(self, folder: Path):
        self.port, self.copies = free_ports(1), folder / "copies"
        self.copies.mkdir()
        for name in ("host", "ssh_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it starts in no other folder
        (folder / "sshd_config").write_text(SETTINGS.format(port=self.port, folder=folder))
        self.key = (folder / "ssh_key").read_text()
        self.known_host = f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}"
        super().__init__(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log")

    @property
    def url(self) -> str:
        """The target."""
        return f"sftp://root@127.0.0.1:{self.port}/{self.copies}"

    def answers(self) -> bool:
        """Whether it greets."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
                return wire.recv(4) == b"SSH-"
        except OSError:
            return False


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SFTP]:
    """A real SFTP server on this machine."""
    server = SFTP(tmp_path_factory.mktemp("sftp"))
    server.start()
    try:
        until(server.answers, 20, "sshd to answer")
        yield server
    finally:
        server.stop(5)
