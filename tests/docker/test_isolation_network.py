"""What a lab reaches beyond its host, tried on an empty machine that owns the addresses in question.

Nothing here ever leaves the machine: its way out is cut (support/city.py).
"""

from __future__ import annotations

import json
import secrets
import shlex
from dataclasses import asdict

import pytest
from support import city
from support.hub import FOOTER
from support.machine import Machine
from support.wait import until

from jupyterhub_mlinfn import __version__, passwords

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SETTINGS = """
images: [{slug: lab, title: JupyterLab, image: mlinfn/lab}]
sizes: {memory: [512M], cpus: ["1"]}
network: {labs_subnet: 172.30.0.0/16, allow_networks: [10.67.0.0/16]}
monitoring: {enabled: false}
"""
HUB = "http://127.0.0.1:8000/hub/api"
LAB = "mlinfn-lab-anna"


@pytest.fixture(scope="module")
def town(machine: Machine) -> Machine:
    """A machine with a site around it, our services, and anna's lab started by the hub."""
    city.wire(machine)
    token = secrets.token_hex(16)
    machine.put_checkout()
    machine.run(f"cat >/opt/mlinfn/config/mlinfn.yaml <<'END'\n{SETTINGS}\nEND")
    extra = "c = get_config()\n" + FOOTER.format(token=token)
    machine.run(f"cat >/opt/mlinfn/config/jupyterhub_config.d/90-tests.py <<'END'\n{extra}\nEND")
    prepare(machine)
    machine.run("cd /opt/mlinfn/compose && docker compose up --detach --wait", timeout_s=180)
    let_in(machine, "anna")
    start_lab(machine, "anna", token)
    city.serve(machine)
    return machine


def prepare(machine: Machine) -> None:
    """`mlinfn prepare`, out of the hub's image: the machine has no Python packages."""
    folders = "-v /srv:/srv:rshared -v /etc:/host-etc -v /opt/mlinfn:/opt/mlinfn"
    program = (
        "from pathlib import Path; from jupyterhub_mlinfn.cli import ground, site; "
        "ground.prepare(site.Site(Path('/opt/mlinfn/config/mlinfn.yaml')), fstab=Path('/host-etc/fstab'))"
    )
    image = f"mlinfn/hub:{__version__}"
    machine.run(f"docker run --rm --privileged {folders} {image} python3 -c {shlex.quote(program)}")
    machine.run("cp /srv/mlinfn/compose.env /opt/mlinfn/compose/.env")


def let_in(machine: Machine, name: str) -> None:
    """The person may log in; the hub starts nothing for others."""
    person = passwords.Person(passwords.hashed(passwords.generated()), False, ())
    book = "/srv/mlinfn/hub/passwords.json"
    machine.run(f"cat >{book} <<'END'\n{json.dumps({name: asdict(person)})}\nEND\nchmod 600 {book}")


def start_lab(machine: Machine, name: str, token: str) -> None:
    """Ask the hub, and wait until it has a lab that is ready."""
    call = f"curl -s -S -H 'Authorization: token {token}' {HUB}/users/{name}"
    machine.run(f"{call} -X POST && {call}/server -X POST")

    def is_ready() -> bool:
        servers = json.loads(machine.run(call)).get("servers", {})
        return servers.get("", {}).get("ready", False)

    until(is_ready, 90, f"{name}'s lab", every_s=0.5)


REACHED = {
    "the public internet": ("tcp", city.PUBLIC, 80),
    "the public internet by UDP": ("udp", city.PUBLIC, 80),
    "a name, looked up by the engine's resolver on a private address": ("tcp", "data.example.org", 80),
    "a network that the site allows": ("tcp", city.ALLOWED, 80),
}
NOT_REACHED = {
    "the metadata address": ("tcp", city.METADATA, 80),
    "the metadata address by UDP": ("udp", city.METADATA, 80),
    "a private address of the site": ("tcp", city.SITE, 80),
    "a private address of the site by UDP": ("udp", city.SITE, 80),
    "the resolver's other ports": ("tcp", city.RESOLVER, 80),
    "an engine that listens on the host": ("tcp", city.MACHINE, 2375),
    "the host's ssh": ("tcp", city.MACHINE, 22),
    "the host's ssh at the gateway": ("tcp", "172.30.0.1", 22),
    "the host by UDP": ("udp", city.MACHINE, 22),
}


@pytest.mark.parametrize("target", REACHED.values(), ids=REACHED)
def test_a_lab_reaches(town, target):
    assert city.knock(town, LAB, *target, limit_s=5) == "open"


@pytest.mark.parametrize("target", NOT_REACHED.values(), ids=NOT_REACHED)
def test_a_lab_does_not_reach(town, target):
    assert city.knock(town, LAB, *target) != "open"


def test_the_rules_hold_after_the_guard_and_the_engines_firewall_are_gone(town):
    """`iptables -F` takes Docker's own separation with it, and a stopped guard puts nothing back."""
    town.run("docker stop mlinfn-guard && iptables -P FORWARD ACCEPT && iptables -F")
    assert city.knock(town, LAB, "tcp", city.METADATA, 80) != "open"
    assert city.knock(town, LAB, "tcp", city.SITE, 80) != "open"
    town.run("docker start mlinfn-guard")


def test_without_the_guards_rules_all_of_it_would_be_reached(town):
    """The proof that the tests above could fail."""
    remove = "docker compose run --rm --no-deps guard python3 /opt/guard/guard.py remove"
    town.run(f"cd /opt/mlinfn/compose && docker compose stop guard && {remove}")
    answers = {name: city.knock(town, LAB, *target, limit_s=3) for name, target in NOT_REACHED.items()}
    assert set(answers.values()) == {"open"}, answers
