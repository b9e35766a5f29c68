"""The services on an engine with GPUs: the hub in its container knows them from the service `gpus`, and lends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests
from support import gpu_engine as engines
from support.gpus import Card, facts
from support.places import test_name as new_name
from support.stack import Stack
from support.wait import until

pytestmark = [pytest.mark.stack, pytest.mark.alone]

CARDS = [Card(uuid, minor) for minor, uuid in enumerate(engines.UUIDS)]
LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
FACTS = "/run/nvml-facts"


@pytest.fixture(scope="module")
def specification(gpu_engine, nvml_library, tmp_path_factory) -> dict:
    """The engine's, which brings the driver's library into containers, as NVIDIA's tools have it."""
    told = tmp_path_factory.mktemp("driver") / "facts"
    told.write_text(facts(CARDS))
    content = engines.specification(engines.UUIDS)
    mounts = ((nvml_library / "libnvidia-ml.so.1", LIBRARY), (told, FACTS))
    edits = content["containerEdits"]
    edits["mounts"] = [{"hostPath": str(there), "containerPath": inside, "options": ["ro", "rbind"]}
                       for there, inside in mounts]  # fmt: skip
    edits["env"].append(f"MLINFN_TEST_NVML={FACTS}")
    specify(gpu_engine, content)
    return content


def specify(engine: engines.GPUEngine, content: dict) -> None:
    """This is the engine's specification from now on."""
    (engine.specifications / "nvidia.json").write_text(json.dumps(content))


def put_on(engine: engines.GPUEngine, stack: Stack) -> None:
    """The hub has this engine's socket and specifications in the place of the machine's."""
    file = stack.folder / "compose/compose.yaml"
    text = file.read_text()
    for before, after in (("source: /var/run/docker.sock", f"source: {engine.socket.removeprefix('unix://')}"),
                          ("/etc/cdi", str(engine.specifications))):  # fmt: skip
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)


@pytest.fixture(scope="module")
def stack(gpu_engine, specification, images, mini_image, tmp_path_factory) -> Iterator[Stack]:
    """The services on the engine with GPUs, healthy."""
    for name in ("hub", "proxy", "guard"):
        gpu_engine.load(images[name])
    mini = {"slug": "mini", "title": "Mini", "image": mini_image}
    with pytest.MonkeyPatch.context() as patch, closing(gpu_engine.client()) as client:
        patch.setenv("DOCKER_HOST", gpu_engine.socket)
        stack = Stack(tmp_path_factory.mktemp("stack"), new_name(), client, images=[mini])
        put_on(gpu_engine, stack)
        try:
            stack.prepare()
            stack.up()
            yield stack
        finally:
            print(stack.logs())  # shown if something failed
            stack.close()


def classes(stack: Stack) -> list[dict]:
    return stack.api.request("GET", "/mlinfn/gpus").json()["classes"]


def test_hub_knows_the_model_from_the_driver_and_lends_it(stack):
    until(lambda: classes(stack), 20, "the GPUs to be known")
    [only] = classes(stack)
    assert (only["slug"], only["free"]) == ("a100-sxm4-80gb", 4), "the service that looks at all holds none"
    stack.add_user("anna")
    stack.api.start("anna", gpus="1")
    lab = stack.lab_of("anna")
    assert lab.labels["it.infn.mlinfn.gpus"] in engines.UUIDS
    requests_ = lab.attrs["HostConfig"]["DeviceRequests"]
    assert [each["DeviceIDs"] for each in requests_] == [[f"nvidia.com/gpu={lab.labels['it.infn.mlinfn.gpus']}"]]
    assert classes(stack)[0]["free"] == 3


def test_service_is_nobody_without_rights_and_listens_on_loopback(stack):
    inside = stack.service("gpus")
    assert inside.exec_run("id -u").output.strip() == b"69003"
    status = inside.exec_run("grep -E '^Cap(Bnd|Eff)' /proc/1/status").output.decode()
    assert {int(line.split()[1], 16) for line in status.splitlines()} == {0}
    loopback = {("127.0.0.1", offset) for offset in (0, 1, 3, 5)}
    assert stack.listening() == {*loopback, (stack.gateway, 2)}


def test_other_services_start_though_this_one_cannot_and_labs_keep_what_they_have(stack, gpu_engine, specification):
    before = stack.lab_of("anna").id
    broken = json.loads(json.dumps(specification))
    broken["containerEdits"]["mounts"][0]["hostPath"] = "/nowhere/libnvidia-ml.so.1"
    specify(gpu_engine, broken)
    said = stack.compose("up", "--detach", "--force-recreate", "--timeout", "5", check=False)
    assert "/nowhere" in said
    stack.wait_healthy("hub", "proxy", "guard")
    assert requests.get(f"http://127.0.0.1:{stack.port}/hub/health", timeout=5).ok
    assert classes(stack) == []
    assert stack.lab_of("anna").id == before
    specify(gpu_engine, specification)
    stack.up()
    until(lambda: classes(stack), 40, "the GPUs to be known again")
    assert classes(stack)[0]["free"] == 3
