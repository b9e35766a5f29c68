"""From nothing but Debian 12 to a member's running lab, by the one command; no container registry answers here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from support import demo
from support.client import API, Visitor
from support.machine import Machine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
INSTALL = "cd /opt/mlinfn && ./install.sh </dev/null"
TEN_MINUTES_S = 600
ONE_MINUTE_S = 60


@contextlib.contextmanager
def logged_in(machine: Machine, port: int, name: str, password: str) -> Iterator[API]:
    """The API of one of the demo people, who has logged in over the machine's public port."""
    way = machine.forward(port)
    try:
        visitor = Visitor(port)
        page = demo.log_in(visitor, name, password)
        assert "/hub/" in page.url, page.text[:2000]
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

    people = demo.passwords_in(first.output)
    assert set(people) == {"demo-member", "demo-keeper", "demo-other", "demo-nobody"}
    with logged_in(machine, free_port, "demo-member", people["demo-member"]) as api:
        lab = api.start("demo-member")
        with lab.kernel() as kernel:
            kernel.run("kept = 6 * 7")
            second = machine.try_run(INSTALL, 300)
            assert second.status == 0, second.output[-6000:]
            assert second.took_s < ONE_MINUTE_S
            assert demo.passwords_in(second.output) == {}, "passwords are printed once"
            assert kernel.run("print(kept)") == "42\n"
        assert api.server("demo-member")["ready"]
        what_cannot_be_had_is_named(machine)
        assert api.server("demo-member")["ready"]
        nothing_is_shared_by_default(machine, set(people.values()))


def what_cannot_be_had_is_named(machine: Machine) -> None:
    """An offered image that only a registry can give is one line of a run that ends well."""
    entry = "  - {slug: lab-conda, title: Conda, image: mlinfn/lab-conda}"
    machine.run(f"sed -i '/slug: lab,/a \\{entry}' /opt/mlinfn/config/mlinfn.yaml")
    third = machine.try_run(INSTALL, 300)
    assert third.status == 0, third.output[-6000:]
    assert re.search(r"lab-conda: not to be had: no registry gives \S+$", third.output, re.MULTILINE), third.output
    assert "Ready after" in third.output


def nothing_is_shared_by_default(machine: Machine, passwords: set[str]) -> None:
    """Folders and secrets are as closed as the design says, and no password is in a log or a command line."""
    assert machine.run("stat -c %a /srv/mlinfn /srv/mlinfn/secrets/hub").split() == ["700", "700"]
    assert machine.run("find /srv/mlinfn/secrets -type f ! -perm 600").strip() == ""
    logs = machine.run("cat /var/log/mlinfn-install.log; docker logs mlinfn-hub 2>&1; docker logs mlinfn-iam-demo 2>&1")
    assert not any(password in logs for password in passwords)
    machine.run("apt-get install -y -q iproute2")
    listening = machine.run("ss -Hltn | awk '{print $4}'").split()
    assert all(not address.startswith(("0.0.0.0:", "[::]:", "*:")) for address in listening), listening
