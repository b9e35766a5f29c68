"""From nothing but Debian 12 to a member's running lab, by the one command; no container registry answers here."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest
from support.client import API, Visitor
from support.machine import Machine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
INSTALL = "cd /opt/mlinfn && ./install.sh </dev/null"
TEN_MINUTES_S = 600
ONE_MINUTE_S = 60


@contextlib.contextmanager
def member_of(machine: Machine, port: int, name: str) -> Iterator[API]:
    """The API of a new member, who has logged in over the machine's public port."""
    password = json.loads(machine.run(f"mlinfn users add {name} --json"))["password"]
    way = machine.forward(port)
    try:
        visitor = Visitor(port)
        assert visitor.log_in(name, password).ok
        yield visitor.api()
    finally:
        way.stop()


def test_bare_debian_reaches_a_first_login_and_the_second_run_keeps_the_lab(bare_machine, free_port):
    """Another port than 8000, because the way there leads over this machine's own ports."""
    machine = bare_machine
    machine.put_checkout()
    machine.run(f"sed -i 's/^port: 8000/port: {free_port}/' /opt/mlinfn/config/mlinfn.yaml")
    first = machine.try_run(INSTALL, 1200)
    assert first.status == 0, first.output[-6000:]
    assert f"http://localhost:{free_port}" in first.output
    assert re.search(r"\d+ ?%", first.output), "no percent was shown"
    assert first.took_s < TEN_MINUTES_S

    with member_of(machine, free_port, "anna") as api:
        lab = api.start("anna")
        with lab.kernel() as kernel:
            kernel.run("kept = 6 * 7")
            second = machine.try_run(INSTALL, 300)
            assert second.status == 0, second.output[-6000:]
            assert second.took_s < ONE_MINUTE_S
            assert kernel.run("print(kept)") == "42\n"
        assert api.server("anna")["ready"]
        nothing_is_shared_by_default(machine)


def nothing_is_shared_by_default(machine: Machine) -> None:
    """Folders and secrets are as closed as the design says, and no password is in a log or a command line."""
    assert machine.run("stat -c %a /srv/mlinfn /srv/mlinfn/secrets/hub").split() == ["700", "700"]
    assert machine.run("find /srv/mlinfn/secrets -type f ! -perm 600").strip() == ""
    machine.run("apt-get install -y -q iproute2")
    listening = machine.run("ss -Hltn | awk '{print $4}'").split()
    assert all(not address.startswith(("0.0.0.0:", "[::]:", "*:")) for address in listening), listening
