"""The main job as a member does it, on the whole installed stack: log in, pick, watch, compute, type, stop."""

from __future__ import annotations

import contextlib
import re

import pytest
from playwright.sync_api import Page, TimeoutError, expect
from support import demo
from support.browser import screenshot, under_way
from support.machine import Machine
from support.places import free_ports
from support.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(900)]
START_MS = 120_000
WATCH = """
const bar = document.querySelector("[role=progressbar]");
const tell = () => shown(Number(bar.getAttribute("aria-valuenow")));
new MutationObserver(tell).observe(bar, {attributes: true, attributeFilter: ["aria-valuenow"]});
tell();
"""


@pytest.fixture(scope="module")
def installed(new_machine) -> tuple[Machine, int, dict[str, str]]:
    """A machine with our stack on it, reached over the same port here: (machine, port, the demo people's passwords)."""
    machine, port = new_machine(), free_ports()
    machine.put_checkout()
    machine.run(f"sed -i 's/^port: 8000/port: {port}/' /opt/mlinfn/config/mlinfn.yaml")
    said = machine.run("cd /opt/mlinfn && ./install.sh </dev/null", 600)
    way = machine.forward(port)
    yield machine, port, demo.passwords_in(said)
    way.stop()


def log_in(page: Page, port: int, name: str, password: str) -> None:
    """The page is where the hub sends somebody who has just logged in at the demo identity service."""
    page.goto(f"http://localhost:{port}/")
    page.get_by_role("link", name=re.compile("log in", re.IGNORECASE)).click()
    page.wait_for_url(re.compile("/demo-iam/"))
    page.get_by_label(re.compile("user ?name", re.IGNORECASE)).fill(name)
    page.get_by_label(re.compile("^password", re.IGNORECASE)).fill(password)
    page.get_by_role("button", name=re.compile("sign in|log in", re.IGNORECASE)).click()


def pick_and_start(page: Page) -> list[int]:
    """The percentages that the page showed until the lab was there."""
    expect(page.get_by_role("radio", name=re.compile("JupyterLab"))).to_be_checked()
    page.get_by_role("radio", name="4 GB").check()
    screenshot(page, "picker")
    page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    shown: list[int] = []
    page.expose_function("shown", lambda percent: shown.append(percent))
    page.evaluate(WATCH)
    screenshot(page, "progress")
    page.wait_for_url(re.compile(r"/lab"), timeout=START_MS)
    return shown


def run_a_cell(page: Page, code: str) -> str:
    """What a cell of a new notebook printed."""
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    # JupyterLab moves the focus until the kernel is there: what is typed before may be lost.
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first).to_be_visible(timeout=60_000)
    output = page.locator(".jp-Notebook .jp-OutputArea-output").first

    def printed() -> str:
        # Where the saved notebook arrives late, JupyterLab puts it, empty, in the place of what was typed.
        cell.fill(code)
        cell.press("Shift+Enter")
        with contextlib.suppress(TimeoutError):
            output.wait_for(timeout=5_000)
            return output.inner_text(timeout=5_000).strip()
        return ""

    return until(printed, 90, "what the cell prints")


def type_in_a_terminal(page: Page, command: str) -> None:
    """The command was typed into a new terminal."""
    for menu, entry in ((".lm-MenuBar-itemLabel", "File"), (".lm-Menu-itemLabel", "New")):
        page.locator(f'{menu}:text-is("{entry}")').click()
    page.locator('.lm-Menu-itemLabel:text-is("Terminal")').click()
    terminal = page.locator(".jp-Terminal .xterm")

    def opened() -> bool:
        with contextlib.suppress(TimeoutError):
            terminal.wait_for(timeout=20_000)
            return True
        # JupyterLab asks once for the parts of a terminal, and waits; who sees that for long loads the page again.
        print(f"No terminal after 20 s, while the page waited for {under_way(page) or 'nothing'}.")
        page.reload()
        return False

    until(opened, 90, "a terminal")
    terminal.click()
    page.keyboard.type(command + "\n")


def test_member_logs_in_picks_computes_types_and_stops(installed, page: Page):
    machine, port, passwords = installed
    log_in(page, port, "demo-member", passwords["demo-member"])
    shown = pick_and_start(page)
    assert shown == sorted(shown)
    assert shown[-1] >= 90, "the bar stopped before the lab was nearly there"
    assert page.url.startswith(f"http://demo-member.localhost:{port}/")
    expect(page.locator(".jp-Launcher").first).to_be_visible(timeout=START_MS)
    assert run_a_cell(page, "import os, pwd\nprint(6 * 7, pwd.getpwuid(os.getuid()).pw_name)") == "42 demo-member"
    screenshot(page, "lab")
    type_in_a_terminal(page, "echo $((6 * 7)) $(whoami) > ~/from-the-terminal")
    home = "/srv/mlinfn/users/demo-member/from-the-terminal"
    machine.run(f"for i in $(seq 100); do [ -s {home} ] && exit 0; sleep 0.1; done; exit 1")
    assert machine.run(f"cat {home}") == "42 demo-member\n"
    page.goto(f"http://localhost:{port}/hub/home")
    screenshot(page, "home")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#start")).to_contain_text(re.compile("start", re.IGNORECASE), timeout=60_000)
    assert machine.run("docker ps -aq --filter label=it.infn.mlinfn.user=demo-member") == ""
    assert machine.run(f"cat {home}") == "42 demo-member\n", "the home goes with the container"


def test_wrong_password_is_said_on_the_login_page(installed, page: Page):
    _machine, port, _passwords = installed
    log_in(page, port, "demo-member", "not a password at all")
    expect(page.get_by_role("alert")).to_contain_text("not the right name and password")
    assert "/demo-iam/login/" in page.url
