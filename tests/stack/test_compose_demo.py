"""The demo identity service among Compose's services: logging in through the one public port, and what it survives."""

from __future__ import annotations

import json

import pytest
import requests
from support import demo as people
from support import secrecy
from support.client import Visitor
from support.engine import read_logs
from support.wait import until

from jupyterhub_mlinfn import demo
from jupyterhub_mlinfn.cli import compose, ground
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.settings import load

pytestmark = pytest.mark.stack

READ = "import os\nprint(open(os.environ['BEARER_TOKEN_FILE']).read())"
CLAIMS = "import subprocess\nprint(subprocess.run(['mlinfn-token', '--claims'], capture_output=True, text=True).stdout)"
ACCESS_S = 20
"""Life of access tokens, so that they are renewed while a test waits."""


@pytest.fixture(scope="module")
def stack_settings():
    return {"login": "demo", "iam": {"refresh": "3s"}}


@pytest.fixture(scope="module")
def stack(stack):
    """The module's stack, with tokens that end soon."""
    file = stack.folder / "compose/compose.yaml"
    port = "      MLINFN_DEMO_PORT: ${MLINFN_DEMO_PORT:?}\n"
    assert port in file.read_text()
    file.write_text(file.read_text().replace(port, f"{port}      MLINFN_DEMO_ACCESS_S: {ACCESS_S}\n"))
    stack.up()
    return stack


@pytest.fixture(scope="module")
def member(stack):
    """The demo's member, logged in."""
    passwords = demo.give_passwords(load(stack.config), renew=True)
    until(lambda: discovery(stack).ok, 30, "the demo to be reached")
    visitor = Visitor(stack.port)
    page = people.log_in(visitor, "demo-member", passwords["demo-member"])
    assert page.url.startswith(f"{visitor.base}/hub/"), page.text
    return visitor


@pytest.fixture(scope="module")
def lab(member):
    return member.api().start("demo-member")


def discovery(stack) -> requests.Response:
    """What the demo says of itself, through the public port."""
    address = f"http://localhost:{stack.port}/demo-iam/.well-known/openid-configuration"
    return requests.get(address, timeout=5)


def recreate(stack, service: str) -> None:
    read_logs(stack.engine, stack.instance)
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", service)


def token_file(stack) -> str:
    """The member's token, as it is on the host."""
    return secrecy.run.keep((stack.root / "run/labs/demo-member/bearer_token").read_text())


def test_everything_but_the_hub_listens_on_loopback(stack):
    loopback = {("127.0.0.1", offset) for offset in (0, 1, 3, 4)}
    assert stack.listening() == {*loopback, (stack.gateway, 2)}


def test_the_demo_has_no_capability_and_no_root(stack):
    inside = stack.service("iam-demo")
    assert inside.exec_run("id -u").output.strip() == b"69002"
    status = inside.exec_run("grep -E '^Cap(Bnd|Eff)' /proc/1/status").output.decode()
    assert {int(line.split()[1], 16) for line in status.splitlines()} == {0}


def test_the_lab_of_somebody_who_logged_in_there_has_their_token(stack, lab):
    assert lab.run(READ).strip() == token_file(stack)
    claims = json.loads(lab.run(CLAIMS))
    assert claims["sub"] == demo.read(load(stack.config))["demo-member"]["sub"]
    assert claims["iss"].rstrip("/") == f"http://localhost:{stack.port}/demo-iam"


def test_the_route_comes_back_with_a_new_proxy(stack, lab):
    recreate(stack, "proxy")
    until(lambda: reachable(stack), 20, "the demo to be reachable again")


def reachable(stack) -> bool:
    try:
        return discovery(stack).ok
    except requests.ConnectionError:
        return False


def test_sessions_and_tokens_go_on_when_the_demo_is_recreated(stack, member, lab):
    recreate(stack, "iam-demo")
    stack.wait_healthy("iam-demo")
    before = token_file(stack)
    until(lambda: token_file(stack) != before, ACCESS_S + 10, "a new token")
    assert lab.run(READ).strip() == token_file(stack)
    assert member.get("/hub/home").url == f"{member.base}/hub/home"


def test_a_member_of_no_group_any_more_is_out(stack, member, lab):
    settings = load(stack.config)
    everybody = demo.read(settings)
    demo.write(settings, {**everybody, "demo-member": {**everybody["demo-member"], "groups": []}})
    until(lambda: not stack.labs_of("demo-member"), 30, "the lab to stop")
    assert "/hub/home" not in member.get("/hub/home").url


def test_no_secret_is_in_a_log(stack, member):
    read_logs(stack.engine, stack.instance)  # for the search of the whole run: the next test removes them
    settings = load(stack.config)
    secret = (settings.root / "secrets/hub/demo_client_secret").read_text().strip()
    for service in ("hub", "proxy", "iam-demo"):
        assert secret not in stack.service(service).logs().decode()


def test_the_demo_goes_away_with_other_settings(stack, tmp_path):
    stack.settings["login"] = "local"
    stack.write_settings()
    site = Site(stack.config)
    ground.prepare(site, fstab=tmp_path / "fstab")
    compose.up(site, quiet=True)
    compose.wait_until_well(site, limit_s=90, say=print)
    assert set(compose.services(site)) == {"hub", "proxy", "guard"}
    assert 4 not in {offset for _, offset in stack.listening()}
