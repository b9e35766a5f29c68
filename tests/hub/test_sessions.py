"""Labs that nobody looks at: tokens stay fresh, who is out loses theirs, and trouble of the identity service is no
member's fault. A real hub, engine and identity service; people log in without a browser and go away.

There are two institutes: in one a lab reads its token for two minutes and nothing else happens; all that goes wrong
goes wrong in the other meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.client import Failed, Visitor
from support.institute import LIFE_S, REFRESH_S, Institute
from support.wait import until

pytestmark = pytest.mark.docker

READ_S = 120
STEP_S = 0.2
GRACE_S = 5
READER = f"""
import base64, json, time
reads, missing, broken, least_s, gap_s, tokens = 0, 0, 0, 1e9, 0, set()
last = time.time()
end = last + {READ_S}
while time.time() < end:
    try:
        token = open("/run/mlinfn/bearer_token").read()
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        least_s = min(least_s, claims["exp"] - time.time())
        tokens.add(token)
    except OSError:
        missing += 1
    except Exception:
        broken += 1
    reads += 1
    time.sleep({STEP_S})
    gap_s, last = max(gap_s, time.time() - last), time.time()
print(json.dumps([reads, missing, broken, least_s, gap_s, sorted(tokens)]))
"""


@pytest.fixture(scope="module")
def reading(found) -> Iterator[tuple[Institute, threading.Thread, list]]:
    """A lab that reads its token five times a second, its identity service rotating refresh tokens all the time."""
    institute = found()
    institute.service.switch(rotate=True)
    institute.log_in("demo-member")
    institute.api.start("demo-member")
    lab, said = institute.site.lab_of("demo-member"), []
    thread = threading.Thread(target=lambda: said.append(lab.exec_run(["python3", "-c", READER]).output), daemon=True)
    thread.start()
    return institute, thread, said


@pytest.fixture(scope="module")
def institute(reading, found) -> Institute:
    """The one where things go wrong. demo-keeper is logged in and has a lab all the time."""
    there = found(flavour="iam")
    there.resident = there.log_in("demo-keeper")
    there.api.start("demo-keeper")
    return there


@pytest.fixture
def member(institute) -> Iterator[str]:
    """demo-other, who is a member with a lab for this test, and went away."""
    institute.service.set_groups("demo-other", ["demo"])
    institute.log_in("demo-other")
    institute.api.start("demo-other", profile="mini")  # not what it had before
    yield "demo-other"
    institute.service.switch(disabled=[])
    if institute.api.server("demo-other"):
        institute.api.stop("demo-other")


def is_inside(visitor: Visitor) -> bool:
    """Whether the hub shows the person their own page."""
    return urlsplit(visitor.get("/hub/home").url).path == "/hub/home"


def test_lab_has_its_members_token_and_no_other_secret(institute, member):
    lab, folder = institute.site.lab_of(member), institute.folder(member)
    environment = dict(each.split("=", 1) for each in lab.attrs["Config"]["Env"])
    assert environment["BEARER_TOKEN_FILE"] == "/run/mlinfn/bearer_token"
    assert environment["GIT_CONFIG_SYSTEM"] == "/run/mlinfn/gitconfig"
    assert {path.name for path in folder.iterdir()} == {"bearer_token", "gitconfig"}
    assert 'email = "demo-other@example.org"' in (folder / "gitconfig").read_text()
    said = json.dumps(lab.attrs)
    assert [secret for secret in institute.service.issued() if secret in said] == []
    seen = lab.exec_run(["sh", "-c", "cat /run/mlinfn/*; rm -f /run/mlinfn/bearer_token; touch /run/mlinfn/mine"])
    assert {secret for secret in institute.service.issued() if secret in seen.output.decode()} == {
        institute.token(member)}  # fmt: skip
    assert seen.exit_code != 0
    institute.api.stop(member)
    assert not folder.exists()


def test_start_that_fails_leaves_no_token(institute):
    institute.service.set_groups("demo-nobody", ["demo"])
    institute.log_in("demo-nobody")
    with pytest.raises(Failed, match="no more luck today"):
        institute.api.start("demo-nobody", profile="dies")
    assert not institute.folder("demo-nobody").exists()


def test_group_taken_away_while_nobody_looks_stops_the_lab(institute, member):
    visitor = institute.log_in(member)
    began = time.time()
    institute.service.set_groups(member, ["other"])
    until(lambda: institute.api.server(member) is None, 30, "the lab to stop")
    # One second for the look itself; how long the engine takes to stop a lab is another matter.
    assert institute.said_at(f"{member} is not allowed any more") - began < REFRESH_S + 1
    assert institute.site.lab_of(member) is None
    assert institute.api.user(member)["groups"] == []
    assert not institute.folder(member).exists()
    assert institute.site.hub.text().count(f"{member} is not allowed any more; their labs stop now") == 1
    assert not is_inside(visitor)


def test_start_of_who_is_out_is_cut_off(institute, member):
    institute.api.stop(member)
    institute.api.ask(member, profile="silent")
    until(lambda: institute.site.lab_of(member), 20, "the container")
    assert institute.api.server(member)["pending"] == "spawn"
    institute.service.set_groups(member, [])
    until(lambda: institute.api.server(member) is None, 30, "the start to be given up")
    until(lambda: institute.site.lab_of(member) is None, 10, "the container to be gone")
    assert not institute.folder(member).exists()


def test_admin_who_is_out_is_no_admin(institute, member):
    institute.service.set_groups(member, ["demo", "demo/keepers"])
    until(lambda: institute.api.user(member)["admin"], REFRESH_S + 10, "the admin's right")
    assert set(institute.api.user(member)["groups"]) == {"demo", "demo/keepers"}
    institute.service.set_groups(member, [])
    until(lambda: institute.api.server(member) is None, REFRESH_S + 10, "the lab to stop")
    assert not institute.api.user(member)["admin"]


def test_lab_stops_also_while_the_proxy_is_away(institute, member):
    institute.site.proxy.stop()
    institute.service.set_groups(member, [])
    until(lambda: institute.site.lab_of(member) is None, 30, "the lab to stop")
    institute.site.start_proxy()
    until(lambda: institute.site.hub.answers() and institute.api.server(member) is None, 20, "the proxy's routes")
    until(lambda: institute.site.lab_answers("demo-keeper"), 20, "the route of the other lab")


def test_account_that_is_disabled_loses_its_lab(institute, member):
    institute.service.switch(disabled=[member])
    until(lambda: institute.api.server(member) is None, LIFE_S + 10, "the lab to stop")
    assert institute.site.lab_of(member) is None


@pytest.mark.parametrize("kind", ["stopped", "refuse", "503", "429", "html", "hang"])
def test_outage_puts_nobody_out(institute, kind):
    service, out = institute.service, institute.metric("mlinfn_people_out_total")
    service.stop() if kind == "stopped" else service.switch(outage=kind, only=["token", "userinfo", "discovery"])
    until(lambda: not institute.state()["ok"], 10, "the trouble to be seen")
    intervals = 3 if kind == "stopped" else 1
    until(lambda: time.time() - institute.state()["since"] > intervals * REFRESH_S, 20, "some intervals to pass")
    assert not institute.state()["ok"]
    assert is_inside(institute.resident)
    assert institute.site.lab_answers("demo-keeper")
    service.start() if kind == "stopped" else service.switch(outage=None, only=None)
    institute.wait_renewed("demo-keeper")
    assert is_inside(institute.resident)
    assert institute.metric("mlinfn_people_out_total") == out


def test_client_secret_that_was_changed_there_puts_nobody_out(institute):
    said = institute.site.hub.text().count("does not know this service's client id and secret")
    new = institute.service.rotate_client_secret()
    until(lambda: institute.state()["reason"] == "invalid_client", LIFE_S + 10, "the wrong secret to be seen")
    assert is_inside(institute.resident)
    assert institute.site.lab_answers("demo-keeper")
    assert institute.site.hub.text().count("does not know this service's client id and secret") == said + 1
    institute.secret.write_text(new)
    institute.wait_renewed("demo-keeper")
    assert is_inside(institute.resident)


def test_restart_of_the_hub_in_an_outage_stops_no_lab(institute, member):
    """Nor does a login that the hub cannot read any more; it does not disturb the others."""
    site, token = institute.site, institute.token("demo-keeper")
    institute.service.stop()
    site.hub.stop()
    _spoil_login(site.root / "hub/jupyterhub.sqlite", member)
    (lost := institute.folder("somebody-whose-lab-is-gone")).mkdir()
    site.write_settings(iam={**site.settings["iam"], "grace": f"{GRACE_S}s"})
    site.start_hub()
    until(lambda: not institute.state()["ok"], 20, "the hub to look at the identity service")
    assert site.lab_answers("demo-keeper")
    assert institute.token("demo-keeper") == token
    institute.service.start()
    institute.wait_renewed("demo-keeper")
    assert is_inside(institute.resident)
    until(lambda: institute.state()["unknown"] == [member], 10, "status to name the one whose login was spoilt")
    assert site.hub.text().count(f"Whether {member} may stay cannot be told. No login of theirs is kept") == 1
    assert site.lab_answers(member)
    assert not lost.exists()


def _spoil_login(database: Path, name: str) -> None:
    with sqlite3.connect(database, timeout=20) as connection:
        connection.execute("UPDATE users SET encrypted_auth_state = ? WHERE name = ?", (b"rubbish", name))


def test_grace_lets_a_lab_go_on_for_a_while(institute, member):
    """After the restart above, which gave the institute a grace."""
    groups = lambda: institute.api.user(member)["groups"]  # noqa: E731
    institute.service.set_groups(member, [])
    until(lambda: groups() == [], REFRESH_S + 10, "them to be out")
    institute.service.set_groups(member, ["demo"])
    until(lambda: groups() == ["demo"], REFRESH_S + 10, "them to be in again")
    assert "is allowed again; their labs go on" in institute.site.hub.text()
    institute.service.set_groups(member, [])
    until(lambda: groups() == [], REFRESH_S + 10, "them to be out")
    assert institute.site.lab_answers(member)
    until(lambda: institute.api.server(member) is None, GRACE_S + 30, "the lab to stop")
    out = institute.said_at(f"{member} is not allowed any more; their labs stop in {GRACE_S} s")
    assert GRACE_S - 0.1 < institute.said_at(f"Removing user {member} from proxy") - out < GRACE_S + 3


def test_metrics_are_shown(institute):
    assert institute.metric(f'mlinfn_identity_service_up{{issuer="{institute.service.issuer}"}}') == 1
    assert institute.metric('mlinfn_token_refreshes_total{result="well"}') > 0
    assert 0 < institute.metric("mlinfn_token_next_expiry_timestamp_seconds") - time.time() < LIFE_S


def test_token_is_never_missing_half_or_old(reading):
    institute, thread, said = reading
    thread.join(READ_S + 30)
    reads, missing, broken, least_s, gap_s, tokens = json.loads(said[0])
    assert (missing, broken) == (0, 0)
    assert reads > 0.6 * READ_S / 0.2
    assert len(tokens) > READ_S / LIFE_S
    assert set(tokens) <= institute.service.issued()
    stall_s = max(0, gap_s - 2 * STEP_S)  # when the whole machine stood still, nobody renewed anything
    # It is renewed at half of its life; a busy machine has a quarter for that. One: `exp` is in whole seconds.
    assert least_s > LIFE_S / 4 - 1 - stall_s


def test_nothing_secret_is_in_a_log(institute, reading):
    for each in (institute, reading[0]):
        labs = "".join(lab.logs().decode() for lab in each.site.labs())
        said = each.site.hub.text() + each.site.proxy.text() + each.service.text() + labs
        assert [secret[:4] for secret in each.service.issued() if secret in said] == []
