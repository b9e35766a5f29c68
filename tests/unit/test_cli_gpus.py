"""`mlinfn gpus`, and the check of the GPUs: from made-up devices and containers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from support.gpus import Driver
from test_cli_checks import WELL

from jupyterhub_mlinfn.cli import checks
from jupyterhub_mlinfn.cli.gpus import _print, holders
from jupyterhub_mlinfn.gpus import Device, Found, classes_of
from jupyterhub_mlinfn.gpus.cdi import COMMAND
from jupyterhub_mlinfn.settings import GPUs, Settings

CARD = Device("GPU-5c1f0a12-7a56-4f8a-a6f4-1f0a5c1f0a12", "NVIDIA H200", 141 * 2**30, 0, cdi="nvidia.com/gpu=GPU-5")
OTHER = Device("GPU-77ab1234-7a56-4f8a-a6f4-1f0a77ab1234", "Tesla T4", 16 * 2**30, 1)
FOUND = Found((CARD, OTHER), "nvml")


def container(name: str, labels: dict | None = None, state: str = "running", **host) -> dict:
    """What `docker inspect` says."""
    return {"Id": name, "Name": f"/mlinfn-{name}", "Created": "2026-11-24T10:00:00.123456789Z",
            "State": {"Status": state, "Running": True}, "Config": {"Labels": labels, "Env": []},
            "HostConfig": host}  # fmt: skip


ANNAS = container("lab-anna", {
    "it.infn.mlinfn.user": "anna", "it.infn.mlinfn.gpus": CARD.uuid, "it.infn.mlinfn.slots": "1",
})  # fmt: skip
STRANGE = container("0123456789abcdef", DeviceRequests=[{"Driver": "nvidia", "DeviceIDs": [OTHER.uuid]}])
HUB = container("hub", {"it.infn.mlinfn.service": "hub"}, DeviceRequests=[{"Driver": "nvidia", "Count": -1}])


def test_holders_are_labs_and_containers_of_others_but_no_service():
    taken = holders([ANNAS, STRANGE, HUB, container("ended", state="exited")], FOUND)
    assert [(each.user, each.uuids, each.since) for each in taken] == [
        ("anna", (CARD.uuid,), 1795514400.0), (None, (OTHER.uuid,), 1795514400.0),
    ]  # fmt: skip


def test_answer_names_every_device_uncut_with_who_holds_it(capsys):
    settings = Settings(gpus={"share": {"t4": 4}, "reserve": [CARD.uuid]})
    classes = classes_of(FOUND.devices, settings.gpus)
    _print(FOUND, classes, holders([ANNAS], FOUND), settings)
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:4] for line in said.splitlines() if line.startswith("GPU-")}
    assert rows == {CARD.uuid: ["reserved", "cdi", "anna"], OTHER.uuid: ["t4", "nvidia", "nobody"]}
    assert "4 of 4 places free" in said
    assert "2026-11-24T10:00:00Z" in said


@pytest.mark.docker  # without an engine, but too long for the quick part
def test_a_driver_that_hangs_holds_up_nobody(nvml_library, tmp_path):
    driver = Driver(tmp_path / "machine", nvml_library)
    (driver.folder / "facts").unlink()
    os.mkfifo(driver.folder / "facts")  # nobody ever writes what the driver reads
    code = "from jupyterhub_mlinfn.cli import facts\nfrom jupyterhub_mlinfn.settings import Settings\n" \
           "print(*facts.gpus(Settings(), {}).notes)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **driver.environment}, text=True,
                          capture_output=True, timeout=60)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("NVIDIA's driver does not answer within ")


def test_answer_without_gpus_says_so(capsys):
    _print(Found(), (), (), Settings())
    assert capsys.readouterr().out == "There is no GPU to lend.\n"


def checked(found: Found, gpus: GPUs | None = None):
    """What `mlinfn status` says of these GPUs."""
    return checks.gpus(replace(WELL, gpus=found, settings=Settings(gpus=gpus or GPUs())))


@pytest.mark.parametrize(
    ("note", "level", "reason", "remedy"),
    [
        ("GPU 1 does not answer (lost) and is not lent. See: nvidia-smi, dmesg | grep -i xid", "red",
         "GPU 1 does not answer (lost) and is not lent.", "nvidia-smi, dmesg | grep -i xid"),
        (f"Docker has no CDI name for GPU-5: given through NVIDIA's runtime. For CDI: {COMMAND}", "amber",
         "Docker has no CDI name for GPU-5: given through NVIDIA's runtime.", COMMAND),
        (f"Docker's specifications name no GPU by its UUID. Make one that does: {COMMAND}", "red",
         "Docker's specifications name no GPU by its UUID.", COMMAND),
        ("The GPUs are made up: labs get none.", "amber", "The GPUs are made up: labs get none.", ""),
    ],
)  # fmt: skip
def test_notes_of_the_inventory_are_findings_with_what_mends_them(note, level, reason, remedy):
    found = checked(replace(FOUND, notes=(note,)))
    assert (found.level, found.title, found.reason, found.remedy) == (level, "GPUs", reason, remedy)


def test_settings_that_contradict_the_machine_come_before_notes():
    found = checked(replace(FOUND, notes=("The GPUs are made up: labs get none.",)), GPUs(reserve=("GPU-x",)))
    assert found.level == "red"
    assert found.reason.startswith("No GPU is lent, at the latest from the hub's next start: gpus.reserve: ")


def test_class_that_is_not_there_is_no_more_than_a_hint():
    found = checked(FOUND, GPUs(share={"h100": 2}))
    assert (found.level, found.reason[:34]) == ("amber", "gpus.share: there is no class h100")


def test_gpus_that_are_well_are_green_and_none_is_no_finding():
    assert checked(FOUND).level == "green"
    assert checked(Found()) is None
