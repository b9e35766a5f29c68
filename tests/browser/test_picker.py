"""The picker in a browser: what people do with it, and what others cannot do with it."""

from __future__ import annotations

import os
import re
import signal

import pytest
from picker_look import assert_looks_well
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
SUBMIT = "<script>document.forms[0].submit()</script>"
IN_THE_LAB = "text=the lab of the test"


def test_a_choice_becomes_a_lab_and_is_remembered(picker, page):
    picker.sign_in(page, "carla")
    page.check("[value=lab-ml]")
    page.get_by_label("16 GB").check()
    page.click("#start")
    page.wait_for_selector(IN_THE_LAB)
    assert picker.starts("carla") == [{"profile": "lab-ml", "memory": "16G", "cpus": "1", "gpus": "0"}]
    page.goto(f"{picker.url}/hub/home")
    page.click("#stop")
    page.click("text=Pick an image and start")
    expect(page.locator("[value=lab-ml]")).to_be_checked()
    expect(page.get_by_label("16 GB")).to_be_checked()


def test_the_keyboard_alone_is_enough(picker, page):
    page.goto(f"{picker.url}/hub/login")
    page.keyboard.type("dora")
    page.keyboard.press("Tab")
    page.keyboard.type("dora")
    page.keyboard.press("Enter")
    page.wait_for_selector(".picker")
    _tab_to(page, "profile")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert _focused(page) == "profile-option-lab-ml--memory"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    _tab_to(page, "start")
    page.keyboard.press("Enter")
    page.wait_for_selector(IN_THE_LAB)
    assert picker.starts("dora") == [{"profile": "lab-ml", "memory": "16G", "cpus": "4", "gpus": "0"}]


def _focused(page) -> str:
    return page.evaluate("document.activeElement.name || document.activeElement.id")


def _tab_to(page, name: str) -> None:
    for _ in range(15):
        if _focused(page) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab; the focus is on {_focused(page)!r}")


def test_it_works_without_javascript(picker, new_page):
    page = new_page(java_script_enabled=False)
    picker.sign_in(page, "eva")
    assert not page.is_visible("text=requires JavaScript")
    page.check("[value=lab-ml]")
    page.get_by_label("32 GB").check()
    page.click("#start")
    page.wait_for_selector(IN_THE_LAB)
    assert picker.starts("eva") == [{"profile": "lab-ml", "memory": "32G", "cpus": "1", "gpus": "0"}]


def test_titles_and_group_names_are_text(picker, page):
    picker.sign_in(page, "anna")
    expect(page.locator(".picker-title", has_text="<script>")).to_be_visible()
    page.goto(f"{picker.url}/hub/spawn?opt-profile=<script>document.title='pwned'</script>")
    expect(page.locator(".picker-note")).to_contain_text("<script>")
    assert "pwned" not in page.title()


def test_a_link_fills_in_and_starts_nothing(picker, page):
    picker.sign_in(page, "finn")
    log = picker.folder / "hub.log"
    before = len(log.read_text())  # others fail on purpose
    page.goto(f"{picker.url}/hub/spawn?opt-profile=lab-ml&opt-memory=16G&opt-gpus=8")
    expect(page.locator("[value=lab-ml]")).to_be_checked()
    expect(page.get_by_label("16 GB")).to_be_checked()
    expect(page.locator(".picker-note")).to_contain_text("gpus 8, which Machine learning does not offer")
    assert page.locator(".spawn-error-msg").count() == 0
    page.goto(f"{picker.url}/hub/spawn?profile=lab")
    page.goto(f"{picker.url}/hub/spawn?anything=else")
    expect(page.locator("#start")).to_be_visible()
    assert picker.starts("finn") == []
    assert "Failed to spawn" not in log.read_text()[before:]


@pytest.mark.parametrize(
    "page_of_another_site",
    [
        "<script>location = '{url}/hub/spawn?opt-profile=lab'</script>",
        "<script>location = '{url}/hub/spawn/gina?opt-profile=lab&_xsrf=x'</script>",
        "<form method=post action='{url}/hub/spawn'><input name=profile value=lab></form>" + SUBMIT,
        "<form method=post enctype='text/plain' action='{url}/hub/api/users/gina/server'></form>" + SUBMIT,
        "<img src='{url}/hub/spawn?opt-profile=lab'><iframe src='{url}/hub/spawn?opt-profile=lab'></iframe>",
        "<script>fetch('{url}/hub/api/users/gina/server', {method: 'POST', credentials: 'include', "
        "mode: 'no-cors'})</script>",
    ],
    ids=["link", "link-by-name", "form", "form-to-the-api", "image-and-frame", "fetch"],
)
def test_another_site_starts_nothing(picker, page, page_of_another_site):
    picker.sign_in(page, "gina")
    body = page_of_another_site.replace("{url}", picker.url)
    page.route("http://other.example/**", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto("http://other.example/")
    page.wait_for_load_state("networkidle")
    page.goto(f"{picker.url}/hub/home")
    expect(page.locator("text=It is not running.")).to_be_visible()
    assert picker.starts("gina") == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("profile-option-lab--memory", "900G", "Memory 900G is not offered for JupyterLab. Choose one of: 2G, 4G, 8G."),
        ("profile", "lab-ml", "lab-ml is not an image that is offered to you. Choose one of: lab."),
        ("gpus", "1", "GPUs 1 cannot be had. JupyterLab is offered without: ask for 0."),
        ("disk", "1", "JupyterLab has no option disk. It takes: profile, memory, cpus."),
    ],
)
def test_a_forged_form_is_refused_in_words(picker, page, field, value, said):
    picker.sign_in(page, "bob")
    forge = """([name, value]) => {
        document.querySelectorAll(`[name="${name}"]`).forEach((field) => field.remove());
        const forged = Object.assign(document.createElement("input"), {type: "hidden", name, value});
        document.getElementById("spawn_form").append(forged);
    }"""
    page.evaluate(forge, [field, value])
    page.click("#start")
    expect(page.locator(".spawn-error-msg")).to_have_text(said)
    expect(page.locator("[value=lab]")).to_be_checked()
    assert picker.starts("bob") == []


def test_a_start_can_be_cancelled(picker, page):
    picker.sign_in(page, "hugo")
    picker.start(page, "slow")
    expect(page.locator("#progress-message")).to_have_text("Starting the container <b>now</b>")
    expect(page.locator("#progress")).to_have_attribute("aria-valuenow", "70")
    page.click("#stop-server-btn")
    expect(page.locator("text=It is not running.")).to_be_visible()


def test_a_failed_start_shows_why_with_the_log(picker, page):
    picker.sign_in(page, "ines")
    picker.start(page, "broken")
    expect(page.locator(".ml-alert")).to_contain_text("ended with exit code 127")
    expect(page.locator("pre")).to_contain_text("exec: jupyterhub-singleuser: not found\n<b>second line</b>")
    page.click("text=Pick again")
    expect(page.locator("[value=broken]")).to_be_checked()


def test_a_lab_that_does_not_answer_can_be_stopped(picker, page):
    picker.sign_in(page, "anna")
    picker.start(page, "lab")
    process = re.search(r"process (\d+)", page.wait_for_selector(IN_THE_LAB).inner_text())[1]
    os.kill(int(process), signal.SIGUSR1)
    page.reload()
    assert page.url.startswith(picker.url.replace("localhost", "anna.localhost"))
    expect(page.locator("h1")).to_have_text("This lab does not answer")
    assert_looks_well(page)
    page.click("#stop")
    expect(page.locator("#no-answer")).to_be_visible()
    page.click("#stop")
    expect(page.locator("text=It is not running.")).to_be_visible()
