"""What is said where Docker is slow, or not there. The command `docker` is one of the test's own."""

import pytest

from jupyterhub_mlinfn.cli import engine


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Call it with lines of a shell script: that is `docker` from now on."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(*lines: str):
        (tmp_path / "docker").write_text("\n".join(["#!/bin/sh", *lines]))
        (tmp_path / "docker").chmod(0o755)

    return make


def test_the_end_of_a_log_is_both_streams(docker):
    docker("echo out", "echo err >&2")
    assert engine.last_lines("a") == "out\nerr"


def test_a_log_that_does_not_come_is_a_sentence_and_no_traceback(docker):
    assert engine.last_lines("a") == engine.NOT_INSTALLED
    docker("exec /bin/sleep 60")
    assert engine.last_lines("a", limit_s=1) == "Docker did not answer to `docker logs` within 1 s."
