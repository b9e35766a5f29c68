"""From nothing but Debian 12 to a service with people in it, and back from its copies on a machine that lost all.

A newcomer types what the pages say, taken from the pages themselves. No container registry answers here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support import demo, secrecy
from support.client import API, Visitor
from support.machine import Machine
from support.newcomer import Newcomer
from support.pages import blocks, page, section

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
HOUR, DAY = "docs/tutorials/first-hour-of-a-keeper.md", "docs/tutorials/first-day-of-a-member.md"
INSTALL, RESTORE = "docs/how-to/install.md", "docs/how-to/restore.md"
RESTORED = "mlinfn restore --from /srv/backup"
SETTINGS = "/opt/mlinfn/config/mlinfn.yaml"
TEN_MINUTES_S, ONE_MINUTE_S = 600, 60


@pytest.fixture
def newcomer(bare_machine: Machine, free_port: int) -> Iterator[Newcomer]:
    """On an empty machine, whose public port is reached from here."""
    (address,) = set(re.findall(r"git clone (\S+)", page(HOUR) + page(INSTALL)))
    bare_machine.put_repository(address)
    way = bare_machine.forward(free_port)
    yield Newcomer(bare_machine, free_port, SETTINGS)
    way.stop()


def demo_member(newcomer: Newcomer, password: str) -> API:
    """The API of the made-up member, who has logged in over the machine's public port."""
    visitor = Visitor(newcomer.port)
    found = demo.log_in(visitor, "demo-member", password)
    assert "/hub/" in found.url, found.text[:2000]
    return visitor.api()


def anna(newcomer: Newcomer, password: str) -> API:
    visitor = Visitor(newcomer.port)
    visitor.log_in("anna", password)
    return visitor.api()


def test_a_newcomer_gets_from_an_empty_machine_to_one_that_has_lost_nothing(newcomer):
    newcomer.follow(HOUR, "1. Get it", "2. Look at the settings")
    an_install_was_cut_off(newcomer.machine)
    said = newcomer.follow(HOUR, "3. Install")
    first = said["./install.sh"]
    assert f"http://localhost:{newcomer.port}" in first.output
    assert re.search(r"\d+ ?%", first.output), "no percent was shown"
    assert first.took_s < TEN_MINUTES_S

    people = demo.passwords_in(first.output)
    assert set(people) == {"demo-member", "demo-keeper", "demo-other", "demo-nobody"}
    member = demo_member(newcomer, people["demo-member"])
    with member.start("demo-member").kernel() as kernel:
        newcomer.work(HOUR, "4. Be a member", kernel=kernel)
        second = newcomer.follow(HOUR, "5. Upgrade")["./install.sh"]
        assert second.took_s < ONE_MINUTE_S
        assert demo.passwords_in(second.output) == {}, "passwords are printed once"
        assert member.server("demo-member")["ready"]
        own = somebody_is_let_in(newcomer)
        assert newcomer.work(HOUR, "5. Upgrade", kernel=kernel).endswith("42\n")

    key = nothing_is_lost(newcomer, own)
    nothing_is_shared_by_default(newcomer.machine, {*people.values(), own, key})
    everything_comes_back(newcomer, own, key)
    everything_on_the_pages_was_typed(newcomer)


def an_install_was_cut_off(machine: Machine) -> None:
    """Its environment for Python has no pip yet."""
    machine.run("mkdir -p /opt/mlinfn/.venv/bin && ln -s /usr/bin/python3 /opt/mlinfn/.venv/bin/python")
    machine.run("printf 'home = /usr/bin\n' >/opt/mlinfn/.venv/pyvenv.cfg")


def somebody_is_let_in(newcomer: Newcomer) -> str:
    """The password of a member, who has had her first day."""
    said = newcomer.follow(HOUR, "6. Let somebody in")["mlinfn users add anna"].output
    password = secrecy.run.keep(re.search(r"password: +(\S+)", said)[1])
    days = [title for title in re.findall(r"^## (.+)$", page(DAY), re.MULTILINE) if newcomer.read(DAY, title)]
    with anna(newcomer, password).start("anna").kernel() as kernel:
        seen = newcomer.work(DAY, *days, kernel=kernel, terminal=True)
    assert seen.splitlines()[:2] == ["91.2", "anna"]
    return password


def nothing_is_lost(newcomer: Newcomer, password: str) -> str:
    """The key of the copies, out of which a keeper has got files back."""
    said = newcomer.follow(HOUR, "7. Know that nothing is lost", "8. See what is wrong")
    assert "thesis" in said["ls -A /srv/found/anna"].output
    newcomer.follow(RESTORE, "Files")
    assert newcomer.machine.run("cat /srv/found/thesis/chapter-1.md") == "Chapter 1\n"
    return secrecy.run.keep(re.search(r"[0-9a-f]{64}", said["mlinfn backup key --show"].output)[0])


def nothing_is_shared_by_default(machine: Machine, secrets: set[str]) -> None:
    """Folders and secrets are as closed as the design says, and no password is in a log or a command line."""
    assert machine.run("stat -c %a /srv/mlinfn /srv/mlinfn/secrets/hub").split() == ["700", "700"]
    assert machine.run("find /srv/mlinfn/secrets -type f ! -perm 600").strip() == ""
    logs = machine.run("cat /var/log/mlinfn-install.log; docker ps -aq | xargs -n1 docker logs 2>&1")
    assert not any(secret in logs for secret in secrets)
    machine.run("apt-get install -y -q iproute2")
    listening = machine.run("ss -Hltn | awk '{print $4}'").split()
    assert all(not address.startswith(("0.0.0.0:", "[::]:", "*:")) for address in listening), listening


def everything_comes_back(newcomer: Newcomer, password: str, key: str) -> None:
    """What was taken away is there again; an offered image that only a registry can give is one line meanwhile."""
    newcomer.follow(INSTALL, "Take it away")
    entry = "  - {slug: lab-conda, title: Conda, image: mlinfn/lab-conda}"
    newcomer.machine.run(f"test ! -e /srv/mlinfn && sed -i '/slug: lab,/a \\{entry}' {SETTINGS}")
    said = newcomer.follow(RESTORE, "Everything, on a new machine", answers={RESTORED: f"{key}\n"})
    again = said["./install.sh --no-start"].output
    assert re.search(r"lab-conda: not to be had: no registry gives \S+$", again, re.MULTILINE), again
    lab = anna(newcomer, password).start("anna")
    assert lab.run("print(open('/home/anna/thesis/chapter-1.md').read())") == "Chapter 1\n\n"


def everything_on_the_pages_was_typed(newcomer: Newcomer) -> None:
    """The page of the tutorial whole; of the others what is for this."""
    parts = [page(HOUR), *(section(page(INSTALL), title) for title in ("Install", "Upgrade", "Take it away")),
             *(section(page(RESTORE), title) for title in ("Files", "Everything, on a new machine"))]  # fmt: skip
    wanted = {line for part in parts for block in blocks(part, "sh") for line in block.text.splitlines()}
    assert wanted - set(newcomer.typed) == set()
