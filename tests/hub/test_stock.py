"""The spawner alone, in a JupyterHub that has nothing else of ours."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from support.engine import remove_all
from support.places import test_name

pytestmark = pytest.mark.docker
CONFIG = """
c.JupyterHub.spawner_class = "mlinfn"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "a password for this test"
c.Authenticator.allow_all = True
"""


@pytest.fixture
def folder_of_its_own(engine):
    """A prefix for what the stock hub's spawner starts."""
    name = test_name()
    yield name
    remove_all(engine, name)


def test_stock_hub_with_only_the_class_set_has_a_working_picker(stock_hub, images):
    hub = stock_hub(CONFIG)
    visitor = hub.visitor()
    assert visitor.log_in("anna", "a password for this test").ok
    page = BeautifulSoup(visitor.get("/hub/spawn").text, "html.parser")
    assert page.select("form [name=profile]"), page.get_text()
    assert page.select("form [type=submit]")
    answer = hub.api.ask("anna", profile="nothing-of-that-name")
    assert answer.status_code == 400
    assert "nothing-of-that-name" in answer.json()["message"]


def test_stock_hub_starts_a_plain_image(stock_hub, plain_image, engine, folder_of_its_own):
    gateway = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    hub = stock_hub(
        CONFIG + f"c.JupyterHub.hub_ip = {gateway!r}\n"
        f"c.MLINFNSpawner.prefix = {folder_of_its_own!r}\n"
        "c.MLINFNSpawner.profile_list = [{'display_name': 'Plain', 'slug': 'plain', "
        f"'kubespawner_override': {{'image': {plain_image!r}}}}}]\n"
    )
    hub.api.add_user("anna")
    lab = hub.api.start("anna", profile="plain")
    assert lab.run("print(6 * 7)") == "42\n"
    hub.api.stop("anna")
