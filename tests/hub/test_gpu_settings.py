"""Settings about GPUs that contradict each other or the machine: the hub does not start, and says why."""

from __future__ import annotations

import pytest
from support.wait import until
from traitlets.config import Config

from jupyterhub_mlinfn import hub
from jupyterhub_mlinfn.errors import OperatorError


@pytest.mark.docker
def test_a_hub_whose_settings_do_not_fit_the_machine_does_not_start(mini_site):
    with pytest.raises(AssertionError) as failed:
        mini_site(gpus={"source": "simulated", "reserve": ["GPU-nobody"]})
    assert "The hub does not start" in str(failed.value)
    assert "there is no device GPU-nobody" in str(failed.value)


@pytest.mark.docker
def test_a_class_whose_cards_have_died_keeps_no_hub_down(mini_site):
    site = mini_site(gpus={"source": "simulated", "share": {"t4": 4}, "names": {"t4": "Small"}, "classes": {"t4": 1}})
    until(lambda: "gpus.share: there is no class t4 at present" in site.hub.text(), 30, "the hub to say so")
    assert [each["slug"] for each in site.api.request("GET", "/mlinfn/gpus").json()["classes"]] == ["simulated-gpu"]


@pytest.mark.parametrize("key", ["device_requests", "devices", "privileged"])
@pytest.mark.parametrize("owner", ["DockerSpawner", "MLINFNSpawner"])
def test_files_of_the_site_give_no_devices(owner, key):
    config = Config()
    config[owner].extra_host_config = {key: [{"Count": -1}]}
    with pytest.raises(OperatorError, match=f"extra_host_config may not hold {key}"):
        hub.check(config)


def test_files_of_the_site_that_add_to_a_dictionary_give_no_devices_either():
    config = Config()
    config.MLINFNSpawner.extra_host_config.update({"device_requests": [{"Count": -1}]})
    with pytest.raises(OperatorError, match="extra_host_config may not hold device_requests"):
        hub.check(config)


def test_other_additions_are_fine():
    config = Config()
    config.DockerSpawner.extra_host_config = {"shm_size": "1g"}
    hub.check(config)
