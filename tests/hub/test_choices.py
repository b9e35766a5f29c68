"""What people may ask for, by API, form and link, against a real hub and engine."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


def nothing_started(site, name: str) -> bool:
    """The hub has no lab for that person, and no container is theirs."""
    mine = [c for c in site.labs() if c.labels.get("it.infn.mlinfn.user") == name]
    return site.api.server(name) is None and mine == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"profile": "lab-xl"}, ("lab-xl", "mini")),
        ({"memory": "900G"}, ("900G", "512M", "1G")),
        ({"cpus": "64"}, ("64", "1", "2")),
        ({"colour": "red"}, ("colour", "memory")),
        ({"image": "docker.io/library/busybox"}, ("image",)),
        ({"profile": "mini", "image--unlisted-choice": "docker.io/library/busybox"}, ("image--unlisted-choice",)),
        ({"memory": ["512M"]}, ("512M", "1G")),
        ({"profile": {"slug": "mini"}}, ("mini", "dies")),
    ],
    ids=["unknown profile", "900G of memory", "64 CPUs", "unknown key", "an image by name", "unlisted image", "a list",
         "an object"],
)  # fmt: skip
def test_bad_options_are_refused_by_name_and_start_nothing(town, asked, named):
    if "anna" not in town.people:
        town.add_user("anna")
    answer = town.api.ask("anna", **asked)
    assert answer.status_code == 400, answer.text
    for word in named:
        assert word in answer.json()["message"]
    assert nothing_started(town, "anna")


def test_form_with_a_size_that_is_not_offered_is_refused_by_name(town):
    visitor = town.logged_in("bob")
    visitor.get("/hub/spawn")
    fields = {"profile": "mini", "profile-option-mini--memory": "900G", "profile-option-mini--cpus": "1"}
    page = visitor.post("/hub/spawn", fields)
    assert "900G" in page.text
    assert "512M" in page.text
    assert nothing_started(town, "bob")


def test_link_prefills_and_starts_nothing(town):
    visitor = town.logged_in("carla")
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Referer": "http://elsewhere.example/"}
    for link in ("/hub/spawn?opt-profile=mini&opt-memory=1G", "/hub/spawn?profile=mini&memory=1G",
                 "/hub/spawn/carla?opt-profile=mini", "/hub/user/carla/?opt-profile=mini"):  # fmt: skip
        page = visitor.get(link, headers=headers)
        assert page.status_code in (200, 400, 404, 424), page.status_code
        assert nothing_started(town, "carla"), link


def test_link_with_a_memory_that_is_not_offered_starts_nothing(town):
    visitor = town.logged_in("clara")
    page = visitor.get("/hub/spawn?opt-memory=900G")
    assert page.ok
    assert nothing_started(town, "clara")


def test_form_of_a_foreign_page_starts_nothing(town):
    visitor = town.logged_in("dora")
    headers = {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    answer = visitor.session.post(f"{visitor.base}/hub/spawn", data={"profile": "mini"}, headers=headers, timeout=30)
    assert answer.status_code == 403
    assert nothing_started(town, "dora")


def test_choice_reaches_the_container(town):
    town.add_user("emil")
    town.api.start("emil", profile="mini", memory="1G", cpus="2")
    (container,) = [c for c in town.labs() if c.labels.get("it.infn.mlinfn.user") == "emil"]
    host = container.attrs["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 2**30
    assert (host["NanoCpus"] or host["CpuQuota"] / host["CpuPeriod"] * 1e9) == 2e9
    assert container.labels["it.infn.mlinfn.profile"] == "mini"
    assert container.labels["it.infn.mlinfn.instance"] == town.instance
    assert container.labels["it.infn.mlinfn.server"] == ""
    assert "it.infn.mlinfn.gpus" not in container.labels
    town.api.stop("emil")
    assert nothing_started(town, "emil")


def test_stored_options_are_checked_again_when_the_offer_changes(mini_site, mini_image):
    """JupyterHub starts labs again with what it stored; a size that was withdrawn since must not come back."""
    site = mini_site()
    site.add_user("frida")
    site.api.start("frida", memory="1G")
    site.api.stop("frida")
    site.hub.stop()
    site.write_settings(sizes={"memory": ["512M"], "cpus": ["1"]})
    site.start_hub()
    for again in ({}, {"memory": "1G"}):
        answer = site.api.ask("frida", **again)
        assert answer.status_code == 400
        assert "512M" in answer.json()["message"]
    assert site.labs() == []
    site.api.start("frida", memory="512M")
    (container,) = site.labs()
    assert container.attrs["HostConfig"]["Memory"] == 512 * 2**20
