"""The Docker Engine through its own command line, with its usual refusals said in one sentence."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OperatorError
from . import interrupt

ANSWER_S = 30
NOT_INSTALLED = "There is no `docker` command on this machine. ./install.sh installs Docker."
NOT_RUNNING = "Docker is not running. Start it with: {command}"
TOO_SLOW = "Docker did not answer to `docker {word}` within {limit_s:.0f} s."
NOT_ALLOWED = "Docker is running, but does not answer to this user. Run this as root (sudo mlinfn ...)."


def docker(*words: str, timeout_s: float = ANSWER_S) -> str:
    """What `docker WORDS` printed. Raises OperatorError with the reason if it could not do it."""
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout_s)
    except FileNotFoundError:
        raise OperatorError(NOT_INSTALLED) from None
    except subprocess.TimeoutExpired:
        raise OperatorError(TOO_SLOW.format(word=words[0], limit_s=timeout_s)) from None
    if done.returncode:
        raise OperatorError(refusal(done.stderr))
    return done.stdout


def refusal(stderr: str) -> str:
    """What Docker's complaint means for a keeper."""
    if "permission denied" in stderr and "docker.sock" in stderr:
        return NOT_ALLOWED
    if "Cannot connect to the Docker daemon" in stderr or "error during connect" in stderr:
        return NOT_RUNNING.format(command=start_command())
    return f"Docker refused: {stderr.strip() or 'it did not say why'}"


START_ALONE = "sudo setsid dockerd >/var/log/dockerd.log 2>&1 &"
"""On a machine without an init system."""


def start_command() -> str:
    """What starts Docker on this machine, which may have no init system."""
    return "sudo systemctl start docker" if _has_systemd() else START_ALONE


def restart_command() -> str:
    """What makes Docker read all of its settings, and start anew. With live-restore, labs go on."""
    return "sudo systemctl restart docker" if _has_systemd() else f"sudo kill $(pidof dockerd); sleep 5; {START_ALONE}"


def reload_command() -> str:
    """What makes Docker read those of its settings that may change while it runs."""
    return "sudo systemctl reload docker" if _has_systemd() else "sudo kill -HUP $(pidof dockerd)"


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def info(limit_s: float = 10) -> dict[str, Any]:
    """What the Engine says about itself. Raises OperatorError if it does not answer."""
    answer = json.loads(docker("info", "--format", "{{json .}}", timeout_s=limit_s))
    if errors := answer.get("ServerErrors"):  # some versions exit with 0 then
        raise OperatorError(refusal(" ".join(errors)))
    return answer


def containers(*labels: str) -> list[dict[str, Any]]:
    """`docker inspect` of all containers, also stopped ones, that have all of the labels NAME=VALUE."""
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    ids = docker("ps", "--all", "--quiet", *filters).split()
    if not ids:
        return []
    try:
        return json.loads(docker("inspect", *ids))
    except OperatorError:  # one of them has gone since: ask one by one
        return [found for each in ids for found in _inspected(each)]


def _inspected(container: str) -> list[dict[str, Any]]:
    try:
        return json.loads(docker("inspect", container))
    except OperatorError as error:
        if "No such" in str(error):
            return []
        raise


def stop(container: str, grace_s: int) -> None:
    """A container does not run, after its programs had so many seconds to end by themselves; or it has gone."""
    try:
        docker("stop", f"--time={grace_s}", container, timeout_s=grace_s + ANSWER_S)
    except OperatorError as error:
        if "No such" not in str(error):
            raise


def remove(container: str) -> None:
    """Nothing is left of a container, whether it runs or not, and whoever else removes it at this moment."""
    end = time.monotonic() + ANSWER_S
    while _inspected(container) and time.monotonic() < end:
        with contextlib.suppress(OperatorError):  # its removal goes on already
            docker("rm", "--force", container)


def image_names() -> frozenset[str]:
    """NAME:TAG of every image on this machine."""
    return frozenset(docker("images", "--format", "{{.Repository}}:{{.Tag}}").split())


def image(reference: str) -> dict[str, Any] | None:
    """`docker image inspect` of it; None if it is not on this machine."""
    try:
        return json.loads(docker("image", "inspect", reference))[0]
    except OperatorError as error:
        if "No such image" in str(error):
            return None
        raise


def last_lines(container: str, count: int = 15, limit_s: float = ANSWER_S) -> str:
    """The end of a container's log, both streams; or why Docker does not show it."""
    try:
        done = subprocess.run(["docker", "logs", "--tail", str(count), container], text=True, timeout=limit_s,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        return NOT_INSTALLED
    except subprocess.TimeoutExpired:
        return TOO_SLOW.format(word="logs", limit_s=limit_s)
    return done.stdout.rstrip()


def run(words: Sequence[str], *, quiet: bool) -> None:
    """Run `docker WORDS` to its end, its own progress on standard error unless `quiet`.

    Ctrl-C does not reach it: Compose would leave a service removed and not yet made anew.
    """
    with interrupt.held():
        done = subprocess.run(["docker", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if quiet else None,
                              text=True, start_new_session=True)  # fmt: skip
    if done.returncode:
        why = f" It said: {done.stderr.strip()}" if quiet else " The reason is above."
        raise OperatorError(f"`docker {' '.join(words[:1])}` did not work.{why}")
