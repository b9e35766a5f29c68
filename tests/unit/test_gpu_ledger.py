"""Who holds which GPU: what the ledger reads from the Engine's containers."""

from __future__ import annotations

import pytest

from jupyterhub_mlinfn.gpus import SERVICE, Device
from jupyterhub_mlinfn.gpus.ledger import ALL_SLOTS, HOLDING, LABELS, Holder, holders, needs_a_look
from jupyterhub_mlinfn.identity import escape

MODEL = "NVIDIA A100-SXM4-80GB"
CARDS = tuple(Device(f"GPU-{n}a", MODEL, 80 * 2**30, n, nodes=(f"/dev/nvidia{n}",)) for n in range(2))
SLICES = tuple(Device(f"MIG-{n}b", MODEL, 10 * 2**30, 2, "1g.10gb", "GPU-2a", number=n, nodes=("/dev/nvidia2",))
               for n in (0, 3))  # fmt: skip
DEVICES = (*CARDS, *SLICES)
NOWHERE = (Device("GPU-0a", "NVIDIA GPU", 0, cdi="nvidia.com/gpu=GPU-0a"),)
"""A device of which only the specification's UUID is known."""
ALL, CARD, SECOND = ["GPU-0a", "GPU-1a", "MIG-0b", "MIG-3b"], ["GPU-0a"], ["GPU-1a"]
BOTH_SLICES = ["MIG-0b", "MIG-3b"]


def foreign(devices=DEVICES, env=(), **host) -> list[str]:
    """The devices that a container of somebody else holds."""
    found = {"HostConfig": host, "Config": {"Env": list(env)}}
    listed = {"Id": "c", "State": "running", "Labels": None, "Created": 7}
    assert needs_a_look(listed)
    held = holders([listed], {"c": found}, devices)
    assert all(holder == Holder("c", holder.uuids, ALL_SLOTS, None, "", 7) for holder in held)
    return [uuid for holder in held for uuid in holder.uuids]


def asked(*ids: str, driver: str = "", count: int = 0, words: tuple[str, ...] = ("gpu",)) -> dict:
    """A device request as `docker run --gpus` makes it."""
    return {"Driver": driver, "Count": count, "DeviceIDs": list(ids) or None, "Capabilities": [list(words)],
            "Options": {}}  # fmt: skip


def by_cdi(*names: str) -> dict:
    """A device request as `docker run --device nvidia.com/gpu=...` makes it."""
    return {"Driver": "cdi", "Count": 0, "DeviceIDs": list(names), "Capabilities": None, "Options": None}


@pytest.mark.parametrize(("request_", "expected"), [
    (asked(count=-1), ALL),
    (asked(count=1), CARD),
    (asked(count=2), [*CARD, *SECOND]),
    (asked(count=3), ALL),  # a card in MIG mode is given with its slices
    (asked(), []),
    (asked(driver="nvidia", count=2, words=("compute",)), [*CARD, *SECOND]),
    (asked("GPU-1a"), SECOND),
    (asked("gpu-1A"), SECOND),
    (asked("1"), SECOND),
    (asked("0", "1"), [*CARD, *SECOND]),
    (asked("all"), ALL),
    (asked("2:3"), ["MIG-3b"]),
    (asked("2:1"), []),
    (asked("2"), BOTH_SLICES),
    (asked("GPU-2a"), BOTH_SLICES),
    (asked("MIG-0b"), ["MIG-0b"]),
    (asked("GPU-9z"), []),
    (asked("10"), []),
    (asked("0", driver="amd"), []),
    (asked("0", words=("tpu",)), []),
    (asked(count=-1, words=("tpu",)), []),
    (by_cdi("nvidia.com/gpu=1"), SECOND),
    (by_cdi("nvidia.com/gpu=gpu1"), SECOND),
    (by_cdi("nvidia.com/gpu=GPU-1a"), SECOND),
    (by_cdi("nvidia.com/gpu=all"), ALL),
    (by_cdi("nvidia.com/gpu=2:0"), ["MIG-0b"]),
    (by_cdi("nvidia.com/gpu=mig2:3"), ["MIG-3b"]),
    (by_cdi("nvidia.com/gpu=0:0"), CARD),  # no such slice is known: the card may have been cut since
    (by_cdi("nvidia.com/gpu=MIG-3b", "nvidia.com/gpu=0"), [*CARD, "MIG-3b"]),
    (by_cdi("amd.com/gpu=0"), []),
    (by_cdi("amd.com/gpu=all"), []),
    (by_cdi("vendor.example/net=1"), []),
], ids=str)  # fmt: skip
def test_devices_asked_of_the_engine(request_, expected):
    assert foreign(DeviceRequests=[request_]) == expected


@pytest.mark.parametrize(("path", "expected"), [
    ("/dev/nvidia0", CARD), ("/dev/nvidia2", BOTH_SLICES), ("/dev/nvidiactl", []), ("/dev/nvidia10", []),
    ("/dev/fuse", []),
])  # fmt: skip
def test_plain_device_nodes(path, expected):
    assert foreign(Devices=[{"PathOnHost": path, "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]) == expected


@pytest.mark.parametrize(("runtime", "visible", "expected"), [
    ("nvidia", "all", ALL), ("nvidia", "1", SECOND), ("nvidia", "0,1", [*CARD, *SECOND]), ("nvidia", "GPU-1a", SECOND),
    ("nvidia", "2:0", ["MIG-0b"]), ("nvidia", "void", []), ("nvidia", "none", []), ("nvidia", "", []),
    ("nvidia", "nvidia.com/gpu=1", SECOND), ("nvidia-cdi", "1", SECOND), ("runc", "all", []), (None, "all", []),
])  # fmt: skip
def test_runtime_of_nvidia_and_its_variable(runtime, visible, expected):
    env = ["PATH=/bin", f"NVIDIA_VISIBLE_DEVICES={visible}", "NVIDIA_DRIVER_CAPABILITIES=all"]
    assert foreign(Runtime=runtime, env=env) == expected
    assert foreign(Runtime=runtime) == []


@pytest.mark.parametrize("host", [
    {"DeviceRequests": [asked(count=1)]}, {"DeviceRequests": [asked("3")]},
    {"DeviceRequests": [by_cdi("nvidia.com/gpu=2:1")]},
])  # fmt: skip
def test_index_takes_a_device_whose_own_is_not_known(host):
    assert foreign(NOWHERE, **host) == CARD


def test_ordinary_containers_hold_nothing():
    assert foreign() == []
    assert foreign(DeviceRequests=None, Devices=None, Runtime="runc") == []
    assert holders([{"Id": "c", "State": "running", "Labels": {}}], {}, DEVICES) == ()
    assert holders([{"Id": "c", "State": "running", "Labels": {}}], {"c": {}}, DEVICES) == ()


def lab(state: str = "running", **labels: str) -> dict:
    """A lab in the Engine's list."""
    ours = {f"{LABELS}{key}": value for key, value in labels.items()}
    name = f"/mlinfn-lab-{labels['user']}" + (f".{labels['server']}" if labels.get("server") else "")
    return {"Id": "lab", "Names": [name], "State": state, "Created": 5, "Labels": ours}


@pytest.mark.parametrize(("labels", "expected"), [
    ({"user": "anna", "gpus": "GPU-0a", "slots": "1"}, Holder("lab", ("GPU-0a",), 1, "anna", "", 5)),
    ({"user": "anna", "gpus": "GPU-0a,GPU-1a"}, Holder("lab", ("GPU-0a", "GPU-1a"), 1, "anna", "", 5)),
    ({"user": "anna", "server": "b", "gpus": "MIG-0b"}, Holder("lab", ("MIG-0b",), 1, "anna", "b", 5)),
    ({"user": "anna", "gpus": "GPU-0a", "slots": "many"}, Holder("lab", ("GPU-0a",), ALL_SLOTS, "anna", "", 5)),
    ({"user": "anna", "gpus": "GPU-9z", "slots": "1"}, Holder("lab", ("GPU-9z",), 1, "anna", "", 5)),
    ({"user": "anna", "gpus": ""}, None), ({"user": "anna"}, None),
])  # fmt: skip
def test_labs_hold_what_their_labels_say(labels, expected):
    listed = lab(**labels)
    assert not needs_a_look(listed)
    assert holders([listed], {}, DEVICES) == ((expected,) if expected else ())


@pytest.mark.parametrize("state", ["created", "running", "paused", "restarting", "removing", "exited", "dead"])
def test_only_a_container_that_has_ended_gives_back(state):
    holds = state in HOLDING
    assert holds is (state not in ("exited", "dead"))
    other = {"Id": "c", "State": state, "Labels": {}}
    found = holders([lab(state, user="anna", gpus="GPU-0a"), other],
                    {"c": {"HostConfig": {"DeviceRequests": [asked("1")]}}}, DEVICES)  # fmt: skip
    assert [holder.uuids for holder in found] == ([("GPU-0a",), ("GPU-1a",)] if holds else [])
    assert needs_a_look(other) is holds


POSING = {"Id": "c", "Names": ["/nice_fermi"], "State": "running", "Created": 5}
EVERYTHING = {"HostConfig": {"DeviceRequests": [asked(count=-1)]}}


@pytest.mark.parametrize("labels", [
    {f"{LABELS}user": "anna", f"{LABELS}gpus": "GPU-0a", f"{LABELS}slots": "1"},
    {f"{LABELS}user": "anna", f"{LABELS}server": "b", f"{LABELS}gpus": "GPU-0a"}, {SERVICE: "gpus"},
    {f"{LABELS}gpus": "GPU-0a"}, {f"{LABELS}user": "", f"{LABELS}gpus": "GPU-0a"},
])  # fmt: skip
def test_container_with_labels_of_its_image_is_no_lab_and_holds_what_docker_gave_it(labels):
    for name in ("/nice_fermi", "/copy-of-anna-lab"):
        listed = {**POSING, "Names": [name], "Labels": labels}
        assert needs_a_look(listed)
        assert holders([listed], {"c": {"HostConfig": {}}}, DEVICES) == ()
        assert holders([listed], {"c": EVERYTHING}, DEVICES) == (Holder("c", tuple(ALL), ALL_SLOTS, None, "", 5),)


def test_lab_is_known_by_the_one_name_that_its_labels_give():
    labels = {f"{LABELS}user": "Anna Rossi", f"{LABELS}server": "b_c", f"{LABELS}gpus": "GPU-0a"}
    name = f"/other-lab-{escape('Anna Rossi')}.{escape('b_c')}"
    for names, is_hers in (([name], True), ([name[:-1]], False), ([], False)):
        assert needs_a_look({**POSING, "Names": names, "Labels": labels}) is not is_hers


def test_our_own_services_hold_nothing():
    service = {"Id": "hub", "Names": ["/mlinfn-hub"], "State": "running", "Labels": {SERVICE: "hub"}}
    assert not needs_a_look(service)
    assert holders([service], {}, DEVICES) == ()
