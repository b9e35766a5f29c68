"""What Prometheus knows of labs on a real engine: right while they run, gone with them, and enough for every panel."""

from __future__ import annotations

import re

import pytest
from support import lab_numbers
from support.boards import QUERIES, until_none_lacks
from support.burner import GB
from support.monitored import HOME, Monitored
from support.receiver import listening
from support.wait import until

from jupyterhub_mlinfn.cli import monitoring_service
from jupyterhub_mlinfn.gpus.inventory import simulated

pytestmark = [pytest.mark.stack, pytest.mark.alone]
CARD, CONTAINER = "GPU-5c1f0a1e-0000-4000-8000-00000000000a", "a" * 64
"""As the expositions have them, which were written by hand."""
NOT_HERE = re.compile(r"cvmfs|identity_service|token_|gpu_driver|slice|^mlinfn:\w+_gpu_hours")
"""No client of CVMFS, IAM or NVIDIA's driver is on this machine, and GPU-hours are worked out every five minutes."""


@pytest.fixture(scope="module")
def stack(monitored, burner) -> Monitored:
    """The one that is watched, while a lab works; cAdvisor and dcgm-exporter know that lab and its GPU."""
    texts = [lab_numbers.from_file(name) for name in ("cadvisor-cgroup-v1.txt", "dcgm-exporter.txt")]
    lab, [card] = monitored.lab_of("anna").id, simulated(1)

    def page() -> str:
        return "".join(text() for text in texts).replace(CONTAINER, lab).replace(CARD, card.uuid)

    with listening(monitored.port + 14, page):
        monitoring_service.write_targets(monitored.site.settings, ("cadvisor",))
        yield monitored


def test_every_panel_has_data(stack):
    """Of what runs here: the others have theirs in test_boards_asked.py."""
    here = [(board, panel, legend.replace("{{server}}", ""), query)  # the usual one has no name
            for board, panel, legend, query in QUERIES if not NOT_HERE.search(query)]  # fmt: skip
    assert len(here) > 0.9 * len(QUERIES)
    until_none_lacks(stack.found, here, 60)


def test_one_cpu_and_one_gigabyte_for_a_minute_are_told_as_such_of_their_person(stack, burner):
    burner.thread.join()
    (began, first), (ended, last) = burner.said[0], burner.said[-1]
    assert last - first > 0.95 * 60
    cpu, memory = ([(float(at), float(value)) for at, value in stack.found(f'{name}{{user="anna"}}[3m]')[0]["values"]]
                   for name in ("mlinfn_lab_cpu_seconds_total", "mlinfn_lab_memory_working_set_bytes"))  # fmt: skip
    while_it_worked = [(at, value) for at, value in cpu if began < at < ended]
    (since, before), (until_, after) = while_it_worked[0], while_it_worked[-1]
    assert until_ - since > 25
    cpus = (after - before) / (until_ - since)
    print(f"{cpus:.3f} CPUs of {burner.had(since, until_):.3f}")
    assert cpus == pytest.approx(burner.had(since, until_), abs=0.05), "1.00 on a quiet machine"
    held = max(value for at, value in memory if began < at < ended)
    assert held - burner.idle == pytest.approx(GB, abs=0.05 * GB)


def test_a_person_and_a_group_have_what_their_labs_have(stack):
    assert stack.value('mlinfn:person_gpus{user="anna"}') == 0.5
    assert stack.value('mlinfn:group_gpus{group="cms"}') == 0.5
    assert stack.value('mlinfn:person_cpus:rate5m{user="anna"}') > 0.1
    assert stack.value('mlinfn:container_memory_working_set_bytes{user="anna"}')


def test_a_home_of_its_owner_alone_is_measured(stack):
    assert stack.value('dirsize_total_size_bytes{directory="zoe",kind="users"}') == pytest.approx(HOME, rel=0.05)
    assert stack.value('dirsize_entries_count{directory="zoe",kind="users"}') == 2


def test_who_measures_has_one_capability_and_writes_nothing(stack):
    inside = stack.service("dirsize")
    status = inside.exec_run("grep ^CapEff /proc/1/status").output.decode()
    assert int(status.split()[1], 16) == 1 << 2, "DAC_READ_SEARCH"
    assert inside.exec_run("touch /data/users/anna/x").exit_code != 0


def test_a_lab_that_has_gone_is_gone_at_once(stack, burner):
    burner.thread.join()
    stack.api.stop("anna")
    until(lambda: stack.value('mlinfn_lab_cpu_seconds_total{user="anna"}') is None, 40, "it to be gone", every_s=1)
