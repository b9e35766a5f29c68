"""What `mlinfn` looks like on a terminal of 80 columns, with colour and without."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

MLINFN = Path(sys.executable).with_name("mlinfn")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def screen(tmp_path):
    """Call it with words: the lines that they bring onto a terminal, on a machine without Docker."""
    path = tmp_path / "mlinfn.yaml"
    path.write_text("root: /srv/none\nbackup: {targets: []}\n"
                    "images: [{slug: lab, title: JupyterLab, image: mlinfn/lab}]\n")

    def run(*words: str, **environ: str) -> list[str]:
        ours, theirs = pty.openpty()
        plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        environment = {**plain, "COLUMNS": "80", "TERM": "xterm", "DOCKER_HOST": "unix:///nonexistent", **environ}
        command = [MLINFN, "--config", path, *words]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            said = b"".join(iter(lambda: _read(ours), b""))
            process.wait(30)
        os.close(ours)
        return said.decode().replace("\r\n", "\n").splitlines()

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_reasons_stay_in_a_column_of_their_own(screen):
    lines = screen("status")
    assert any(COLOUR.search(line) for line in lines)
    plain = [COLOUR.sub("", line) for line in lines]
    assert any(line.startswith(" " * 22) and "->" not in line for line in plain), plain
    assert all(len(line) <= 80 for line in plain if "->" not in line)  # a command is copied as it is


def test_who_wants_no_colour_gets_none(screen):
    assert not any("\x1b" in line for line in screen("status", NO_COLOR="1"))


def test_help_has_room_in_80_columns(screen):
    for words in ([], ["backup", "restore"]):
        assert max(map(len, screen(*words, "--help"))) <= 80
