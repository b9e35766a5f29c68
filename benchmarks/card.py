"""What asking a real NVIDIA card costs, beside `nvidia-smi`, and whether we hear the same and leave nothing behind.

    .venv/bin/python benchmarks/card.py [--reads 1000] [--image IMAGE]

Needs a card and its driver. The service `gpus` asks every ten seconds for as long as the machine runs, so a read may
neither be slow nor take a little memory each time. With an image, and an Engine whose specifications name the card by
its UUID, a container is lent it as labs are: without root, rights and a way to get them. Exit status 0: all is as it
should be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import psutil

from jupyterhub_mlinfn.gpus import EVERY_S, Device, Lease, classes_of, find, giving, nvml, reported
from jupyterhub_mlinfn.settings import GPUs

ASKED = ("index", "uuid", "name", "memory.total")
GROWN_MB = 2
"""Memory that may come with many reads: what Python and the library keep for the next one."""
PORT = 8905
NOBODY = 69999
"""The user of the container that is lent a card."""


def main() -> int:
    """Exit status: 0 if everything is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reads", type=int, default=1000, help="for which memory is watched (default: 1000)")
    parser.add_argument("--image", help="an image with a shell, in which a container is lent the first card")
    asked = parser.parse_args()
    devices, notes = nvml.read()
    for each in classes_of(devices, GPUs()):
        print(f"lent as {each.slug}, {each.title}: {', '.join(device.uuid for device in each.devices)}")
    judged = {"the driver's words are nvidia-smi's": not notes and cards(devices) == smi_cards(),
              "a read is faster than nvidia-smi": is_fast(),
              f"{asked.reads} reads leave nothing behind": leaves_nothing(asked.reads),
              "the service tells the same and holds no card": is_told(devices)}  # fmt: skip
    if asked.image:
        judged |= lent(asked.image)
    for what, is_so in judged.items():
        print(f"{'yes' if is_so else 'NO':4}{what}")
    return int(not all(judged.values()))


def cards(devices: tuple[Device, ...]) -> list[tuple[str, ...]]:
    """Index, UUID, model and MiB of each card."""
    return [(str(each.index), each.uuid, each.model, f"{each.memory // 2**20}") for each in devices if not each.profile]


def smi_cards() -> list[tuple[str, ...]]:
    """The same from nvidia-smi, without cards that are cut into slices."""
    lines = smi("--query-gpu=" + ",".join((*ASKED, "mig.mode.current"))).splitlines()
    told = [tuple(each.strip() for each in line.split(",")) for line in lines]
    return [each[:-1] for each in told if each[-1] != "Enabled"]


def smi(*words: str) -> str:
    """What nvidia-smi answers."""
    return subprocess.run(["nvidia-smi", *words, "--format=csv,noheader,nounits"], capture_output=True, text=True,
                          check=True).stdout  # fmt: skip


def is_fast() -> bool:
    """Whether a read takes at most as long as nvidia-smi, taking turns."""
    pairs = [(seconds(nvml.read), seconds(lambda: smi("--query-gpu=uuid"))) for _ in range(20)]
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"a read {1000 * ours:.1f} ms, nvidia-smi {1000 * theirs:.1f} ms: {ours / theirs:.2f}x")
    return ours <= theirs


def leaves_nothing(reads: int) -> bool:
    """Whether memory and open files of this process are the same after so many."""
    process = psutil.Process()
    before = (process.memory_info().rss, process.num_fds())
    took_s = seconds(lambda: [nvml.read() for _ in range(reads)])
    grown, opened = process.memory_info().rss - before[0], process.num_fds() - before[1]
    print(f"{reads} reads: {grown / 1e6:+.2f} MB, {opened:+d} open files; "
          f"one every {EVERY_S} s is {took_s / reads / EVERY_S:.3%} of a core")  # fmt: skip
    return grown <= GROWN_MB * 1e6 and not opened


def is_told(devices: tuple[Device, ...]) -> bool:
    """Whether the service's report is what the driver says, its health good, and no memory of the card taken."""
    used = smi("--query-gpu=memory.used")
    environment = {**os.environ, "MLINFN_GPUS_PORT": str(PORT)}
    service = subprocess.Popen([sys.executable, "-m", "jupyterhub_mlinfn.gpus.report"], env=environment)
    try:
        told, _ = reported.read(f"http://127.0.0.1:{PORT}/", patience_s=30)
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5).read().decode()
        holds = str(service.pid) in smi("--query-compute-apps=pid").split()
        print(*[line for line in metrics.splitlines() if not line.startswith("#")], sep="\n")
        return told == devices and not holds and smi("--query-gpu=memory.used") == used
    finally:
        service.terminate()
        service.wait(10)


def lent(image: str) -> dict[str, bool]:
    """How it is in a container that is lent the first card, and in one that is lent none."""
    import docker

    engine, found = docker.from_env(), find(GPUs())
    print(json.dumps({"source": found.source, "notes": found.notes}))
    lease, nothing = Lease(found.devices[:1]), Lease()
    with_card, without = (seen(engine, image, each) for each in (lease, nothing))
    print(*with_card, sep="\n")
    return {"a container that is lent a card sees it alone": giving.difference(lease, with_card) == "",
            "nvidia-smi works in it": any(lease.uuids[0] in line for line in with_card),
            "one that is lent none sees none": giving.difference(nothing, without) == ""}  # fmt: skip


def seen(engine, image: str, lease: Lease) -> list[str]:
    """The device nodes in a container, and what nvidia-smi says there."""
    by = giving.way(lease, "auto")
    said = engine.containers.run(
        image, ["sh", "-c", "ls -d /dev/nvidia* 2>/dev/null; nvidia-smi -L 2>&1 || true"], remove=True, user=NOBODY,
        cap_drop=["ALL"], security_opt=["no-new-privileges"], network_mode="none",
        device_requests=giving.device_requests(lease, by), environment=giving.environment(lease, by))  # fmt: skip
    return said.decode().splitlines()


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
