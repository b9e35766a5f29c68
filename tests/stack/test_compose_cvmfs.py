"""The services of CVMFS: a client with the rights that compose.yaml gives it, the prober, and labs beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support import software as repositories
from support.places import test_name as new_name
from support.stack import Stack
from support.wait import until

from jupyterhub_mlinfn.cli import checks, cvmfs_service, facts
from jupyterhub_mlinfn.cli.site import Site

pytestmark = pytest.mark.stack

GOOD, HUNG = "good.example.org", "hung.example.org"
CLIENT = Path(repositories.__file__).with_name("cvmfs_client.py")


def stand_in(stack: Stack, image: str) -> None:
    """In the client's container runs a program of the tests, since its image cannot be had everywhere."""
    shutil.copy(CLIENT, stack.folder / "client.py")
    service = {"image": image, "entrypoint": ["python3", "/client.py"], "healthcheck": {"test": ["CMD", "true"]},
               "volumes": [{"type": "bind", "source": str(stack.folder / "client.py"), "target": "/client.py"}]}
    YAML().dump({"services": {"cvmfs": service}}, stack.folder / "compose/stand-in.yaml")
    env = stack.folder / "compose/.env"
    env.write_text(env.read_text().replace("COMPOSE_FILE=compose.yaml", "COMPOSE_FILE=compose.yaml:stand-in.yaml"))


@pytest.fixture(scope="module")
def stack(engine, images, mini_image, tmp_path_factory) -> Iterator[Stack]:
    """The services with two repositories, one of which hangs from the beginning."""
    with repositories.folder_for_repositories(tmp_path_factory.mktemp("software")) as software:
        mini = {"slug": "mini", "title": "Mini", "image": mini_image, "cvmfs": [HUNG]}
        section = {"repositories": [GOOD, HUNG], "folder": str(software.folder), "client": "container"}
        stack = Stack(tmp_path_factory.mktemp("stack"), new_name(), engine, images=[mini], cvmfs=section)
        try:
            stack.prepare()
            stand_in(stack, images["hub"])
            stack.up()
            yield stack
        finally:
            print(stack.logs())  # shown if something failed
            stack.close()


def found(stack: Stack) -> dict[str, tuple[str, str]]:
    """What `mlinfn doctor` finds, by title."""
    site = Site(stack.config)
    seen = facts.software(site)
    looks = {"answers": cvmfs_service.answers, "shared": cvmfs_service.shared, "flags": cvmfs_service.flags}
    found = {title: look(site.settings, seen) for title, look in looks.items()}
    return {title: (each.level, each.reason) for title, each in found.items()}


def test_client_mounts_and_the_prober_says_which_hangs(stack):
    until(lambda: f"{HUNG} does not answer" in found(stack)["answers"][1], 30, "the prober to name the one that hangs")
    assert GOOD not in found(stack)["answers"][1]
    assert found(stack)["flags"] == ("green", "All are mounted read-only.")
    assert found(stack)["shared"][0] == "green"
    assert checks.cvmfs in checks.STATUS


def test_lab_reads_what_is_mounted_and_again_after_the_client_was_renewed(stack):
    stack.add_user("anna")
    stack.api.start("anna")
    lab = stack.lab_of("anna")

    def here() -> str:
        return lab.exec_run(["cat", f"/cvmfs/{GOOD}/here"]).output.decode()

    before = here()
    assert before.startswith("DIRECT ")
    stack.compose("restart", "cvmfs")
    until(lambda: here().startswith("DIRECT ") and here() != before, 20, "the lab to read what is mounted now")
    assert stack.lab_of("anna").id == lab.id


def test_prober_is_nobody_without_rights_and_listens_on_loopback(stack):
    inside = stack.service("cvmfs-probe")
    assert inside.exec_run("id -u").output.strip() == b"69004"
    status = inside.exec_run("grep -E '^Cap(Bnd|Eff)' /proc/1/status").output.decode()
    assert {int(line.split()[1], 16) for line in status.splitlines()} == {0}
    loopback = {("127.0.0.1", offset) for offset in (0, 1, 3, 6)}
    assert stack.listening() == {*loopback, (stack.gateway, 2)}


def test_hub_has_no_cvmfs(stack):
    assert stack.service("hub").exec_run("ls /cvmfs").exit_code != 0
