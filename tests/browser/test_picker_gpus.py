"""GPUs in a browser: what is free is seen as it is now, asked for, and waited for in a line."""

from __future__ import annotations

import itertools
import re
import statistics

import pytest
from picker_gpus import HELD
from picker_look import assert_looks_well
from playwright.sync_api import expect
from support.wait import until

from jupyterhub_mlinfn.gpus.glance import OLDEST_S

pytestmark = pytest.mark.browser
A100 = "[data-gpu='a100-sxm4-80gb']"
T4 = "[data-gpu='t4']"
ALL_A100 = {"bob": "GPU-a0", "eva": "GPU-a1"}
LOOKS = "**/mlinfn/gpus"
OLDEST_MS = 2000
SLACK_MS = 500  # of a clock in a browser on a busy machine
OLD = re.compile(r"\bgpu-old\b")


@pytest.fixture(autouse=True)
def as_before(picker):
    """The GPUs are as every test finds them."""
    picker.gpus()


def card(page, profile: str = "lab-ml"):
    """The card of this image."""
    return page.locator(".picker-card", has=page.locator(f"[value='{profile}']"))


def choose(page, profile: str, gpus: str) -> None:
    """Pick an image and GPUs."""
    page.check(f"[value={profile}]")
    page.check(f"[name=profile-option-{profile}--gpus][value='{gpus}']")


def test_gpus_are_asked_for_and_remembered(picker, page):
    picker.sign_in(page, "juri")
    choose(page, "lab-ml", "t4:1")
    page.click("#start")
    page.wait_for_selector("text=the lab of the test")
    assert picker.starts("juri") == [{"profile": "lab-ml", "memory": "8G", "cpus": "1", "gpus": "t4:1"}]
    page.goto(f"{picker.url}/hub/home")
    page.click("#stop")
    page.click("text=Pick an image and start")
    expect(card(page).get_by_label("1 T4")).to_be_checked()
    page.check("[value=slow]")
    expect(card(page, "slow").get_by_label("None")).to_be_checked()


def looks(page, count: int) -> list[tuple[float, float]]:
    """When each of the next looks of the page was asked for and answered, in milliseconds."""
    found = []
    for _ in range(count):
        with page.expect_event("requestfinished", lambda request: request.url.endswith("/mlinfn/gpus")) as caught:
            pass
        timing = caught.value.timing
        found.append((timing["startTime"], timing["startTime"] + timing["responseEnd"]))
    return found


def test_state_is_at_most_two_seconds_old(picker, page):
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    times = looks(page, 8)
    # What an answer says is shown until the next one comes. It was so when it was asked for, or a little before.
    ages = [answered - asked + 1000 * OLDEST_S for (asked, _), (_, answered) in itertools.pairwise(times)]
    print(f"What is shown is at most {max(ages):.0f} ms old, {statistics.median(ages):.0f} ms in the middle.")
    assert statistics.median(ages) < OLDEST_MS, ages


WHEN_GREY = """() => new Promise((grey) => new MutationObserver(() => {
    if (!document.querySelector(".gpu-old")) return;
    const answered = performance.getEntriesByType("resource").filter((each) => each.name.endsWith("/mlinfn/gpus"));
    grey(performance.now() - answered.at(-1).startTime);
}).observe(document.body, {subtree: true, attributeFilter: ["class"]}))"""


def test_state_whose_successor_is_late_turns_grey_in_time(picker, page):
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    looks(page, 1)
    row, held = card(page).locator(A100), []
    expect(row).not_to_have_class(OLD)
    page.route(LOOKS, lambda route: route.continue_() if held else held.append(route))
    shown_ms = page.evaluate(WHEN_GREY)
    assert shown_ms + 1000 * OLDEST_S < OLDEST_MS + SLACK_MS
    expect(row).to_have_class(OLD)
    held[0].continue_()
    expect(row).not_to_have_class(OLD)


def test_state_follows_and_has_the_same_words_on_a_new_page(picker, page):
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    state = card(page).locator(f"{A100} .gpu-state")
    expect(state).to_have_text("1 of 2 free")
    for held, said in ((ALL_A100, "none of 2 free"), ({}, "2 of 2 free"), (HELD, "1 of 2 free")):
        picker.gpus(held)
        expect(state).to_have_text(said)
        live = page.locator(".gpu-state").all_inner_texts()
        page.reload()
        assert page.locator(".gpu-state").all_inner_texts() == live, "the script and the page use other words"


def test_class_that_has_gone_is_greyed_out_until_it_is_back(picker, page):
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    picker.gpus(devices="H A0 A1")
    expect(card(page).locator(T4)).to_contain_text("not there at present")
    assert_looks_well(page)
    picker.gpus()
    expect(card(page).locator(T4)).to_contain_text("3 of 4 places free")
    expect(card(page).locator(".gpu-gone")).to_have_count(0)


def test_state_says_when_docker_is_away_and_recovers(picker, page):
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    picker.gpus(away=True)
    expect(card(page).locator(".gpu-trouble")).to_contain_text("Docker does not answer")
    assert_looks_well(page)
    page.reload()
    page.check("[value=lab-ml]")
    expect(card(page).locator(".gpu-trouble")).to_be_visible()
    picker.gpus()
    expect(card(page).locator(f"{A100} .gpu-state")).to_have_text("1 of 2 free")
    expect(card(page).locator(".gpu-trouble")).to_be_hidden()


def test_only_changes_of_the_chosen_class_are_spoken(picker, page):
    picker.sign_in(page, "kira")
    choose(page, "lab-ml", "a100-sxm4-80gb:1")
    looks(page, 2)
    said = page.locator("#gpus-said")
    picker.gpus({**HELD, "x": "GPU-t"})
    expect(card(page).locator(f"{T4} .gpu-state")).to_have_text("2 of 4 places free")
    expect(said).to_have_text("")
    picker.gpus(ALL_A100)
    expect(said).to_have_text("A100 80 GB: none of 2 free")


def test_it_stops_asking_while_nobody_looks(picker, page):
    picker.sign_in(page, "kira")
    asked, ended = [], []
    for event, seen in (("request", asked), ("requestfinished", ended), ("requestfailed", ended)):
        page.on(event, lambda request, seen=seen: seen.append(request) if "mlinfn/gpus" in request.url else None)
    looks(page, 1)
    hide = """(state) => {
        Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, "hidden")
    while len(ended) < len(asked):  # one that was on its way
        page.wait_for_timeout(50)
    before = len(asked)
    page.wait_for_timeout(3500)
    assert len(asked) == before
    with page.expect_request(LOOKS, timeout=10_000):
        page.evaluate(hide, "visible")


def test_without_javascript_the_state_is_that_of_the_page(picker, new_page):
    page = new_page(java_script_enabled=False)
    picker.gpus(ALL_A100)
    picker.sign_in(page, "luca")
    until(lambda: _loaded_state(page) == "none of 2 free", 10, "a page that knows it")
    choose(page, "lab-ml", "1")
    page.click("#start")
    page.wait_for_selector("text=the lab of the test")
    assert picker.starts("luca")[-1]["gpus"] == "1"


def _loaded_state(page) -> str:
    """What a page that is loaded now says of the A100s; it may be half a second old."""
    page.reload()
    return card(page).locator(f"{A100} .gpu-state").inner_text()


def test_what_is_not_offered_is_greyed_out(picker, page):
    picker.sign_in(page, "guest")
    row = page.locator("[data-gpu='h200']")
    expect(row).to_contain_text("Not offered to you.")
    expect(row.locator("input")).to_have_count(0)
    expect(page.locator(A100)).to_contain_text("A whole card, yours alone.")
    expect(page.locator(A100).locator("input")).to_have_count(1)
    assert_looks_well(page)


@pytest.mark.parametrize("asked", ["-1", "h200:1", "9"])
def test_what_cannot_be_had_is_refused_with_what_can(picker, page, asked):
    picker.sign_in(page, "guest")
    forge = """(value) => { document.querySelector("[name$='--gpus']:checked").value = value; }"""
    page.evaluate(forge, asked)
    page.click("#start")
    expect(page.locator(".spawn-error-msg")).to_have_text(
        f"GPUs {asked} is not offered for Machine learning. "
        "Choose one of: 0, 1, a100-sxm4-80gb:1, t4:1, a100-1g.10gb:1."
    )
    assert picker.starts("guest") == []


def test_simulated_gpus_say_so(picker, page):
    picker.gpus(simulated=True)
    picker.sign_in(page, "kira")
    page.check("[value=lab-ml]")
    expect(card(page)).to_contain_text("Simulated. These GPUs are made up")
    assert_looks_well(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_line_is_seen_survives_a_reload_and_can_be_left(picker, new_page, scheme):
    first, second = new_page(color_scheme=scheme), new_page(color_scheme=scheme)
    picker.gpus(ALL_A100)
    for page, name in ((first, "mara"), (second, "nico")):
        picker.sign_in(page, name)
        assert_looks_well(page)
        choose(page, "slow", "a100-sxm4-80gb:1")
        page.click("#start")
        page.wait_for_selector("#line:not([hidden])")
    expect(second.locator("#line-place")).to_have_text("You are 2nd in line")
    expect(second.locator("#line-titles")).to_have_text("A100 80 GB")
    expect(second.locator("#line-holders")).to_contain_text("bob since")
    assert_looks_well(second)
    second.reload()
    expect(second.locator("#line-place")).to_have_text("You are 2nd in line")
    first.click("text=Leave the line")
    expect(first.locator("text=It is not running.")).to_be_visible()
    expect(second.locator("#line-place")).to_have_text("You are next in line", timeout=10_000)
    picker.gpus({})
    expect(second.locator("#progress-message")).to_have_text("Starting the container <b>now</b>", timeout=10_000)
    expect(second.locator("#line")).to_be_hidden()
    second.click("text=Cancel")
    expect(second.locator("text=It is not running.")).to_be_visible()


def test_place_in_line_is_seen_without_javascript(picker, new_page):
    page = new_page(java_script_enabled=False)
    picker.gpus(ALL_A100)
    picker.sign_in(page, "olga")
    choose(page, "slow", "a100-sxm4-80gb:1")
    page.click("#start")
    said = "Waiting for a GPU (A100 80 GB): you are next. Held by bob, eva."
    expect(page.locator("#progress-message")).to_have_text(said, timeout=10_000)  # the page loads itself again
    other = new_page()
    picker.sign_in(other, "olga", then="#line:not([hidden])")
    other.click("text=Leave the line")
    expect(other.locator("text=It is not running.")).to_be_visible()


def asked_by(page, picker):
    """The API's answer to this page."""
    token = page.evaluate("window.jhdata.xsrf_token")
    return page.request.get(f"{picker.url}/hub/api/mlinfn/gpus", headers={"X-XSRFToken": token})


def test_api_tells_holders_to_admins_alone(picker, new_page):
    member, admin, stranger = new_page(), new_page(), new_page()
    picker.sign_in(member, "anna")
    answer = asked_by(member, picker)
    told = answer.json()
    assert [each["slug"] for each in told["classes"]] == ["h200", "a100-sxm4-80gb", "t4", "a100-1g.10gb"]
    assert told["mine"] == [{"server": "", "gpus": ["GPU-a0"], "since": "2026-11-24T10:00:00Z"}]
    assert "holders" not in told
    assert "bob" not in answer.text()
    picker.sign_in(admin, "keeper")
    told = asked_by(admin, picker).json()
    assert told["mine"] == []
    assert told["holders"] == [{"user": user, "server": "", "gpus": [uuid]} for user, uuid in HELD.items()]
    stranger.goto(f"{picker.url}/hub/login")
    assert stranger.request.get(f"{picker.url}/hub/api/mlinfn/gpus").status == 403
    picker.gpus(away=True)
    answer = until(lambda: next((a for a in [asked_by(member, picker)] if not a.ok), None), 10, "it to be noticed")
    assert (answer.status, answer.json()["message"][:22]) == (503, "Docker does not answer")


def test_looks_are_not_logged(picker, page):
    picker.sign_in(page, "kira")
    assert asked_by(page, picker).ok
    assert "200 GET /hub/api/mlinfn/gpus" not in (picker.folder / "hub.log").read_text()
