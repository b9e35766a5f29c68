"""What must not hold up or lose anybody's lab: stubborn labs, a daemon that fails for a while, a hub that is killed."""

from __future__ import annotations

import random
import time

import pytest
from support.client import Failed
from support.throttle import BROKEN, Relay
from support.wait import until

pytestmark = pytest.mark.docker


def test_lab_that_ignores_sigterm_holds_up_nobody(mini_site):
    site = mini_site(starting={"stop_grace": "30s"})
    for name in ("anna", "bob"):
        site.add_user(name)
    site.api.start("anna", profile="stubborn")
    assert site.api.request("DELETE", "/users/anna/server").status_code == 202
    began = time.monotonic()
    site.api.start("bob")
    site.api.stop("bob")
    assert time.monotonic() - began < 25
    assert site.lab_of("anna") is not None, "the stubborn lab ended before bob's; this showed nothing"
    until(lambda: site.lab_of("anna") is None, 60, "the stubborn lab to be killed")


@pytest.fixture
def fragile(mini_site, mlinfn, tmp_path):
    """A site whose hub reaches the engine over a relay that can be told to fail: (site, relay)."""
    path = str(tmp_path / "docker.sock")
    relay = Relay("/var/run/docker.sock", path)
    mlinfn.environment["DOCKER_HOST"] = f"unix://{path}"
    yield mini_site(), relay
    relay.stop()


def test_daemon_that_fails_for_a_while_loses_no_lab(fragile):
    site, relay = fragile
    site.add_user("anna")
    site.api.start("anna")
    before = site.lab_of("anna").id
    relay.answer = BROKEN
    failed_since = len(site.hub.text())
    until(lambda: "500" in site.hub.text()[failed_since:], 90, "the hub to notice that the engine fails")
    assert site.api.server("anna")["ready"] is True
    relay.answer = None
    site.add_user("bob")
    site.api.start("bob")
    assert site.api.server("anna")["ready"] is True
    assert site.lab_of("anna").id == before


def test_start_while_the_daemon_fails_says_so_and_the_next_works(fragile):
    site, relay = fragile
    site.add_user("anna")
    relay.answer = BROKEN
    with pytest.raises(Failed, match="Docker does not answer on this machine"):
        site.api.start("anna")
    relay.answer = None
    until(lambda: site.api.server("anna") is None, 60, "the failed start to end")
    site.api.start("anna")


def test_only_unclaimed_containers_of_this_instance_are_removed(mini_site, engine, mini_image):
    site = mini_site()
    site.add_user("anna")
    site.api.start("anna")
    mine = {"it.infn.mlinfn.instance": site.instance, "it.infn.mlinfn.server": "", "it.infn.mlinfn.user": "ghost"}
    others = {**mine, "it.infn.mlinfn.instance": site.instance + "x"}
    ghost = engine.containers.run(mini_image, ["sleep", "600"], name=f"{site.instance}-lab-ghost", labels=mine,
                                  detach=True)  # fmt: skip
    stranger = engine.containers.run(mini_image, ["sleep", "600"], name=f"{site.instance}-x-lab-ghost", labels=others,
                                     detach=True)  # fmt: skip
    copied = engine.containers.run(mini_image, ["sleep", "600"], name=f"{site.instance}-of-an-image-made-of-a-lab",
                                   labels=mine, detach=True)  # fmt: skip
    bystander = engine.containers.run(mini_image, ["sleep", "600"], name=f"{site.instance}-bystander", detach=True)
    until(lambda: ghost.id not in {c.id for c in site.labs()}, 120, "the unclaimed container to go", every_s=0.5)
    left = {c.id for c in site.labs()}
    assert {stranger.id, copied.id, bystander.id, site.lab_of("anna").id} <= left
    assert site.api.server("anna")["ready"] is True


def test_a_container_that_only_has_the_name_of_a_lab_is_left_alone(mini_site, engine, mini_image):
    site = mini_site()
    site.add_user("anna")
    labels = {"it.infn.mlinfn.instance": site.instance, "it.infn.mlinfn.user": "somebody else"}
    for marks in ({}, labels):
        other = engine.containers.run(mini_image, ["sleep", "600"], name=f"{site.instance}-lab-anna", labels=marks,
                                      detach=True)  # fmt: skip
        with pytest.raises(Failed, match="not set up rightly"):
            site.api.start("anna")
        assert "has the name" in site.hub.text()
        assert engine.containers.get(other.id).status == "running"
        other.remove(force=True)
    site.api.start("anna")


def test_restart_of_the_hub_keeps_labs(mini_site):
    site = mini_site()
    site.add_user("anna")
    lab = site.api.start("anna")
    before = site.lab_of("anna").id
    site.hub.stop()
    assert site.lab_of("anna").id == before
    assert lab.request("GET", "").ok
    site.start_hub()
    assert site.api.server("anna")["ready"] is True
    assert site.lab_of("anna").id == before
    site.api.stop("anna")
    assert site.labs() == []


def test_hub_killed_at_any_moment_of_a_start_leaves_nothing_unowned(mini_site):
    """Eight starts, each cut off by kill -9 somewhere in its first second and a half."""
    site = mini_site()
    moments = random.Random(20260501)
    names = [f"user{number}" for number in range(8)]
    for name in names:
        site.add_user(name)
        assert site.api.ask(name).status_code in (201, 202)
        time.sleep(moments.uniform(0, 1.5))  # the moment is the input here
        site.hub.kill()
        site.start_hub()
    until(lambda: _all_claimed(site, names), 120, "every container to be claimed or gone", every_s=0.5)
    homes = {path.name for path in (site.root / "users").iterdir()}
    assert homes <= set(names)
    for name in names:
        if site.api.server(name) is None:
            site.api.start(name)
        assert site.lab_answers(name)


def _all_claimed(site, names: list[str]) -> bool:
    ready = {name for name in names if (site.api.server(name) or {}).get("ready")}
    pending = {name for name in names if (site.api.server(name) or {}).get("pending")}
    return not pending and {c.labels.get("it.infn.mlinfn.user") for c in site.labs()} == ready
