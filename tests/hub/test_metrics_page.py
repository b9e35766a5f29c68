"""What /hub/metrics tells: right numbers, for the right person, of labs on a real Engine."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.burner import GB, Burner
from support.client import Failed
from support.mini_lab import offer
from support.places import test_name
from support.site import Site, closing_site
from support.wait import until

pytestmark = pytest.mark.docker
EXTRA = """
c.JupyterHub.authenticate_prometheus = False
from jupyterhub_mlinfn.lab_accounts import Accounts
Accounts.every_s = 1
"""
BURN_S = 8
HUNGRY = "held = []\nwhile True: held.append(bytearray(b'x') * 2**24)"


@pytest.fixture(scope="module")
def site(mini_image, tmp_path_factory, proxy_command, engine, request):
    """A running instance whose labs may have two CPUs, and are looked at every second."""
    made = Site(tmp_path_factory.mktemp("usage"), test_name(), proxy_command, engine)
    made.extra = EXTRA
    with closing_site(made, request):
        gpus = {"source": "simulated", "simulated": 1, "share": {"simulated-gpu": 2}}
        yield made.start(**offer(mini_image), sizes={"memory": ["2G", "256M"], "cpus": ["2"]}, gpus=gpus)


def samples(site: Site, name: str) -> list:
    """The samples of one name that /hub/metrics has now."""
    page = site.visitor().get("/hub/metrics").text
    return [each for family in text_string_to_metric_families(page) for each in family.samples if each.name == name]


def of(site: Site, user: str, name: str):
    """The sample of one person's lab; None if there is none."""
    return next((each for each in samples(site, f"mlinfn_lab_{name}") if each.labels["user"] == user), None)


def known(site: Site, user: str, name: str = "cpu_seconds_total"):
    """The same, once there is one."""
    return until(lambda: of(site, user, name), 20, f"{name} of {user}", every_s=0.2)


@pytest.fixture
def anna(site):
    """Her lab, running and known."""
    if "anna" not in site.people:
        site.add_user("anna")
        site.api.start("anna")
    known(site, "anna")
    return site.lab_of("anna")


def test_one_cpu_and_one_gigabyte_are_told_as_such(site, anna):
    idle, before = known(site, "anna", "memory_working_set_bytes").value, known(site, "anna")
    cpu, memory, burner = [], [], Burner(anna, BURN_S)
    while burner.thread.is_alive():
        cpu.append(of(site, "anna", "cpu_seconds_total"))
        memory.append(of(site, "anna", "memory_working_set_bytes"))
        burner.thread.join(0.3)
    (began, _), (ended, had) = burner.said[0], burner.said[-1]
    until(lambda: of(site, "anna", "cpu_seconds_total").timestamp > ended + 0.2, 20, "a sample after it")
    after = of(site, "anna", "cpu_seconds_total")
    assert after.value - before.value == pytest.approx(had, rel=0.05)
    first, *_, last = [each for each in cpu if began < each.timestamp < ended]
    cpus = (last.value - first.value) / (last.timestamp - first.timestamp)
    assert cpus == pytest.approx(burner.had(first.timestamp, last.timestamp), abs=0.05), "1.00 on a quiet machine"
    held = max(each.value for each in memory if began < each.timestamp < ended)
    assert held - idle == pytest.approx(GB, abs=0.05 * GB)


def test_limits_and_what_else_is_known_of_a_lab(site, anna):
    values = {name: of(site, "anna", name).value for name in ("cpu_limit", "memory_limit_bytes", "processes",
                                                              "started_timestamp_seconds")}  # fmt: skip
    began = values.pop("started_timestamp_seconds")
    assert began < known(site, "anna").timestamp < began + 600
    assert values.pop("processes") >= 1
    assert values == {"cpu_limit": 2, "memory_limit_bytes": 2 * 2**30}
    [info] = [each.labels for each in samples(site, "mlinfn_container_info") if each.labels["user"] == "anna"]
    assert info == {"container_id": anna.id, "name": anna.name, "user": "anna", "server": "", "room": "",
                    "profile": "mini", "image": anna.labels["it.infn.mlinfn.image"]}  # fmt: skip


def starts(site: Site, **labels: str) -> float:
    """How many starts of the mini lab are told to have ended so."""
    found = [each.value for each in samples(site, "mlinfn_starts_total") if labels.items() <= each.labels.items()]
    return sum(found)


def phases(site: Site) -> dict[str, float]:
    """How long all good starts of the mini lab took, by phase."""
    return {each.labels["phase"]: each.value for each in samples(site, "mlinfn_start_seconds_sum")
            if each.labels["profile"] == "mini"}  # fmt: skip


def test_starts_are_told_with_how_they_ended_and_where_their_time_went(site, anna):
    assert starts(site, profile="dies", outcome="failed", reason="exited") == 0, "there before the first one fails"
    site.add_user("carla")
    with pytest.raises(Failed, match="no more luck"):
        site.api.start("carla", profile="dies")
    assert starts(site, profile="dies", outcome="failed", reason="exited") == 1
    assert site.api.ask("carla", profile="nothing").status_code == 400
    assert starts(site, profile="", outcome="refused", reason="options") == 1
    assert starts(site, profile="mini", outcome="started") == 1
    spent = phases(site)
    assert 0 < spent["boot"] < spent["total"]
    assert spent["total"] == pytest.approx(sum(spent[each] for each in ("queue", "pull", "create", "boot")), abs=0.01)


def test_who_runs_out_of_memory_is_counted(site):
    site.add_user("bob")
    site.api.start("bob", memory="256M")
    assert known(site, "bob", "out_of_memory_total").value == 0
    assert site.lab_of("bob").exec_run(["python3", "-c", HUNGRY]).exit_code == 137
    until(lambda: of(site, "bob", "out_of_memory_total").value == 1, 20, "it to be counted")
    site.lab_of("bob").remove(force=True)
    until(lambda: of(site, "bob", "cpu_seconds_total") is None, 20, "what is gone to be told no more")
    assert of(site, "bob", "out_of_memory_total").value == 1


def test_who_holds_a_gpu_is_told_and_dcgm_exporter_hears_it_also_after_the_hub_was_away(site):
    site.add_user("dora")
    site.api.start("dora", gpus="simulated-gpu:1")
    file = site.root / "run/dcgm/0"
    until(lambda: file.read_text() == "dora\n", 20, "the file to name her")
    [held] = samples(site, "mlinfn_lab_gpu_info")
    assert (held.value, held.labels["user"], held.labels["index"]) == (0.5, "dora", "0")
    site.hub.kill()
    site.lab_of("dora").remove(force=True)
    site.start_hub()
    until(lambda: file.read_text() == "", 20, "the file to name nobody")


def test_a_hub_that_comes_back_goes_on_counting_where_docker_does(site, anna):
    before = known(site, "anna")
    site.hub.stop()
    site.start_hub()
    after = known(site, "anna")
    assert after.timestamp > before.timestamp
    assert after.value >= before.value
    assert "what labs use" not in site.hub.text()


def test_without_names_there_is_none_on_the_page(site, anna):
    site.hub.stop()
    site.write_settings(monitoring={"per_person": False})
    site.start_hub()
    known(site, "", "memory_working_set_bytes")
    page = site.visitor().get("/hub/metrics").text
    assert "anna" not in page
    assert "bob" not in page
    assert of(site, "", "memory_limit_bytes").value == 2 * 2**30
