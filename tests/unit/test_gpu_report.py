"""The service `gpus`: what it tells of the driver, and what the hub, which has no library, makes of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from threading import Thread, Timer

import pytest
import requests
from support.gpus import CARDS, LOST, WHOLE, Driver, lent, specification
from support.places import free_ports
from support.process import Program

from jupyterhub_mlinfn import loopback
from jupyterhub_mlinfn.gpus import Found, nvml, report, reported


class Service:
    """The service's server in this process, telling what it is given."""

    def __init__(self, port: int = 0):
        self.looks = report.Looks()
        self.server = loopback.server(self.looks.answer, port)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def tells(self, text: str) -> None:
        """This is what it found, a moment ago."""
        self.looks.report, self.looks.trouble, self.looks.at = text, "", time.monotonic()

    def close(self) -> None:
        """The port is free again."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def hub_service(port) -> Iterator[Service]:
    """The same where the hub asks."""
    service = Service(port)
    yield service
    service.close()


@pytest.fixture(scope="module")
def port() -> int:
    """Of the services that are tried with a hub."""
    return free_ports()


@pytest.fixture(scope="module")
def hub(port, tmp_path_factory) -> Iterator[Driver]:
    """A program without NVIDIA's library (what has its name is none), which asks a service on the port."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "libnvidia-ml.so.1").write_text("not a library")
    driver = Driver(folder / "machine", folder)
    driver.environment[reported.ADDRESS] = f"http://127.0.0.1:{port}/"
    yield driver
    driver.close()


def test_everything_about_the_devices_arrives(service):
    service.tells(reported.text(lent(CARDS), ("GPU 2 does not answer.",)))
    assert reported.read(service.url) == (lent(CARDS), ("GPU 2 does not answer.",))


@pytest.mark.parametrize("error", [nvml.NoLibrary("not found"), nvml.NoNVML("not loaded")], ids=["library", "driver"])
def test_what_the_library_says_is_raised_as_here(service, error):
    service.tells(reported.text(error=error))
    with pytest.raises(nvml.NoNVML, match=f"^{error}$") as raised:
        reported.read(service.url)
    assert type(raised.value) is type(error)


@pytest.mark.parametrize("text", ["{}", "[]", '{"trouble": null, "devices": [{}], "notes": []}', "no JSON"])
def test_something_else_on_the_port_lends_nothing(service, text):
    service.tells(text)
    with pytest.raises(nvml.NoNVML, match="mlinfn logs gpus"):
        reported.read(service.url, patience_s=0)


def test_what_a_newer_service_knows_besides_is_left_out(service):
    service.tells(reported.text(lent([WHOLE])).replace('"uuid"', '"colour": "green", "uuid"'))
    assert reported.read(service.url) == (lent([WHOLE]), ())


def test_service_that_is_being_recreated_is_waited_for(service):
    Timer(0.3, service.tells, [reported.text(lent([WHOLE]))]).start()
    assert reported.read(service.url, patience_s=5) == (lent([WHOLE]), ())


def test_driver_that_hangs_is_not_believed_any_more(service):
    service.tells(reported.text(lent([WHOLE])))
    assert requests.get(f"{service.url}health", timeout=5).text == "ok\n"
    service.looks.at -= report.STALE_S + 1
    assert requests.get(f"{service.url}health", timeout=5).status_code == 503
    with pytest.raises(nvml.NoNVML, match="has not answered for 61 s"):
        reported.read(service.url, patience_s=0)


def test_health_says_why_the_driver_does_not_answer(service):
    service.looks.report, service.looks.trouble = reported.text(error=nvml.NoNVML("gone")), "gone"
    answer = requests.get(f"{service.url}health", timeout=5)
    assert (answer.status_code, answer.text) == (503, "gone\n")
    assert requests.get(f"{service.url}etc/passwd", timeout=5).status_code == 404


def test_prometheus_is_told_whether_the_driver_answers(service):
    def is_up() -> bool:
        answer = requests.get(f"{service.url}metrics", timeout=5)
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return "\nmlinfn_gpu_driver_up 1.0\n" in answer.text

    assert not is_up(), "nothing was asked yet"
    service.tells(reported.text(lent([WHOLE])))
    assert is_up()
    service.looks.at -= report.STALE_S + 1
    assert not is_up()


def test_real_service_tells_a_hub_without_library(hub, driver, port, tmp_path):
    driver.has(WHOLE, LOST)
    variables = {**driver.environment, "MLINFN_GPUS_PORT": str(port)}
    program = Program([sys.executable, "-m", "jupyterhub_mlinfn.gpus.report"], tmp_path / "log", variables)
    program.start()
    try:
        found = hub.found(driver="nvidia")
    finally:
        program.stop()
    assert (found.devices, found.source) == (lent([WHOLE]), "nvml")
    assert found.notes[0].startswith("GPU 1 does not answer (GPU is lost)")
    assert program.wait(0) == 0, program.text()
    assert program.text() == "NVIDIA's driver answers. Devices: 1.\n"


@pytest.mark.parametrize(("error", "source", "expected"), [
    (nvml.NoNVML("not loaded"), "auto", ()),
    (nvml.NoLibrary("not found"), "auto", (WHOLE.uuid,)),
    (nvml.NoLibrary("not found"), "nvml", ()),
])  # fmt: skip
def test_specifications_count_only_where_nothing_is_known_of_the_driver(hub, hub_service, error, source, expected):
    hub.specify(specification([WHOLE], ["uuid"]))
    hub_service.tells(reported.text(error=error))
    found = hub.found(source=source)
    assert tuple(device.uuid for device in found.devices) == expected
    if not expected:
        assert found == Found(notes=(f"NVIDIA's driver does not answer: {error}. No GPU is lent. See: nvidia-smi",))
