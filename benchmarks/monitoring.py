"""What watching costs at rest: processor and memory of the services, and how many series there are.

`.venv/bin/python benchmarks/monitoring.py --help` says what can be chosen. The engine and our images must be there:
`./test.sh -m stack -k monitoring` makes them.

The services, the host and the hub are real. Labs are made up: one page has the series that the hub, cAdvisor and
dcgm-exporter would have of so many, each of another person, and the numbers move.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.places import test_name
from support.receiver import listening
from support.stack import Stack
from support.wait import until

from jupyterhub_mlinfn.cli import compose, monitoring_service
from jupyterhub_mlinfn.cli.site import Site

LEAST_LABS, CORE, MEMORY = 20, 0.03, 400e6
"""Most that is taken with so many labs."""
OF_LABS = ("mlinfn_lab_cpu_seconds_total", "mlinfn_lab_cpu_limit", "mlinfn_lab_memory_working_set_bytes",
           "mlinfn_lab_memory_limit_bytes", "mlinfn_lab_processes", "mlinfn_lab_started_timestamp_seconds",
           "mlinfn_lab_network_receive_bytes_total", "mlinfn_lab_network_transmit_bytes_total",
           "mlinfn_lab_out_of_memory_total")  # fmt: skip
OF_CONTAINERS = ("container_cpu_usage_seconds_total", "container_cpu_user_seconds_total", "container_last_seen",
                 "container_cpu_system_seconds_total", "container_memory_working_set_bytes", "container_memory_rss",
                 "container_memory_cache", "container_start_time_seconds", "container_oom_events_total",
                 "container_fs_reads_bytes_total", "container_fs_writes_bytes_total")  # fmt: skip
OF_CARDS = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP",
            "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_SM_CLOCK")  # fmt: skip


def main() -> int:
    """Exit status: 0 if the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", type=int, nargs="+", default=[LEAST_LABS, 500], help="(default: 20 500)")
    parser.add_argument("--seconds", type=int, default=120, help="how long is looked (default: 120)")
    arguments = parser.parse_args()
    is_met = True
    for count in arguments.labs:
        cores, memory, series = measured(count, arguments.seconds)
        core, most = sum(cores.values()), sum(memory.values())
        print(f"{count:4} labs: {core:.2%} of a core, {most / 1e6:.0f} MB, {series} series")
        print(*(f"           {name}: {cores[name]:.2%}, {memory[name] / 1e6:.0f} MB" for name in cores), sep="\n")
        is_met &= count > LEAST_LABS or (core < CORE and most < MEMORY)
    return 0 if is_met else 1


def measured(count: int, seconds: int) -> tuple[dict[str, float], dict[str, float], int]:
    """Parts of a core and bytes by service, and how many series Prometheus has."""
    engine = docker.from_env(timeout=120)
    with tempfile.TemporaryDirectory() as folder:
        named = {"cadvisor": "registry.invalid/cadvisor:v0.54.1"}
        stack = Stack(Path(folder), test_name(), engine, monitoring=named)
        try:
            stack.prepare()
            compose.up(Site(stack.config), quiet=True)
            with listening(stack.port + 14, lambda: page(count)):
                monitoring_service.write_targets(Site(stack.config).settings, ("cadvisor",))
                until(lambda: series(stack, "mlinfn:person_memory_bytes") == count, 120, "the labs to be seen")
                return *taken(stack, seconds), series(stack, '{__name__!=""}')
        finally:
            stack.close()


def taken(stack: Stack, seconds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Parts of a core, and bytes that are not the kernel's to take back, by service."""
    there = {name: stack.service(name) for name, profile in compose.PROFILES.items()
             if profile == monitoring_service.NAME}  # fmt: skip
    before, began = {name: used(each) for name, each in there.items()}, time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    after = {name: used(each) for name, each in there.items()}
    return ({name: (after[name][0] - before[name][0]) / lasted for name in there},
            {name: after[name][1] for name in there})  # fmt: skip


def used(container) -> tuple[float, float]:
    """Seconds of processor so far, its health checks included, and bytes."""
    stats = container.stats(stream=False)
    detail = stats["memory_stats"]["stats"]
    idle = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, stats["memory_stats"]["usage"] - idle


def series(stack: Stack, selector: str) -> int:
    """How many there are now."""
    try:
        answer = requests.get(f"http://127.0.0.1:{stack.port + 10}/api/v1/query",
                              params={"query": f"count({selector})"}, timeout=10).json()  # fmt: skip
        return int(next((each["value"][1] for each in answer["data"]["result"]), 0))
    except requests.RequestException:
        return 0


def page(count: int) -> str:
    """What there is to be seen of so many labs at this moment."""
    return "\n".join(line for number in range(count) for line in lines(number)) + "\n"


def lines(number: int) -> Iterator[str]:
    """The series of one lab, with a card for every tenth."""
    now, user, container = time.monotonic(), f"person-{number}", f"{number:064x}"
    lab = f'user="{user}",server="",room="",profile="lab"'
    yield f'mlinfn_container_info{{container_id="{container}",name="lab-{user}",image="mlinfn/lab:1",{lab}}} 1'
    yield f'jupyterhub_user_group_info{{user="{user}",group="group-{number % 20}"}} 1'
    yield from (f"{name}{{{lab}}} {now + number}" for name in OF_LABS)
    yield from (f'{name}{{id="/system.slice/docker-{container}.scope"}} {now + number}' for name in OF_CONTAINERS)
    if number % 10 == 0:
        yield f'mlinfn_lab_gpu_info{{user="{user}",server="",room="",gpu="GPU-{number}",index="{number}",class="a"}} 1'
        yield f'mlinfn_gpu_seconds_total{{user="{user}",group="group-{number % 20}",class="a"}} {now}'
        yield from (f'{name}{{gpu="{number}",UUID="GPU-{number}",modelName="A"}} 0' for name in OF_CARDS)


if __name__ == "__main__":
    sys.exit(main())
