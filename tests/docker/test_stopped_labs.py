"""Labs that `mlinfn down --labs` stops, as plain containers: how long they have, and one that goes meanwhile."""

import time
from types import SimpleNamespace

import pytest

from jupyterhub_mlinfn.cli import compose
from jupyterhub_mlinfn.errors import OperatorError

pytestmark = pytest.mark.docker
STUBBORN = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "print('ready', flush=True); time.sleep(600)")


@pytest.fixture
def lab(engine, instance, base_image):
    """Call it with a name for a lab whose program does not end by itself."""

    def make(name: str):
        container = engine.containers.run(base_image, ["python3", "-c", STUBBORN], name=f"{instance}-{name}",
                                          detach=True, labels={compose.INSTANCE_LABEL: instance})
        next(container.logs(stream=True))  # it ignores SIGTERM from now on
        return container

    return make


@pytest.fixture
def site(instance):
    """As much of a site as is asked for its labs."""
    return SimpleNamespace(settings=SimpleNamespace(instance=instance))


def test_a_lab_has_the_grace_of_the_settings_and_no_more(lab, site):
    lab("anna")
    began = time.monotonic()
    compose.stop_labs(compose.labs(site), 1, say=lambda text: None)
    assert 1 <= time.monotonic() - began < 8, "Docker itself would give it 10 s"
    assert compose.labs(site) == []


def test_a_lab_that_goes_meanwhile_keeps_no_other_from_being_stopped(lab, site):
    first, second = lab("anna"), lab("boris")
    running = compose.labs(site)
    first.remove(force=True)
    compose.stop_labs(sorted(running, key=lambda each: each["Id"] == second.id), 0, say=lambda text: None)
    assert compose.labs(site) == []


def test_labs_are_stopped_side_by_side_and_each_is_told(lab, site):
    names = [lab(name).name for name in ("anna", "boris", "carla", "dora")]
    began, told = time.monotonic(), []
    compose.stop_labs(compose.labs(site), 4, say=told.append)
    assert 4 <= time.monotonic() - began < 14, "one after the other takes 16 s"
    assert compose.labs(site) == []
    assert told[0] == "4 labs to stop; each has 4 s to end by itself."
    assert [line.split(": ")[0] for line in told[1:]] == [f"Stopped {number} of 4" for number in (1, 2, 3, 4)]
    assert sorted(line.split(": ")[1] for line in told[1:]) == sorted(names)


def test_a_lab_that_docker_cannot_stop_is_named_when_the_others_are(lab, site):
    lab("anna")
    told, unknown = [], {"Id": "", "Name": "/nobody"}
    with pytest.raises(OperatorError, match="Docker refused"):
        compose.stop_labs([unknown, *compose.labs(site)], 0, say=told.append)
    assert compose.labs(site) == []
    assert len(told) == 2, "what was not stopped is not said to be"
