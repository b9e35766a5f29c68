"""`mlinfn iam check` against the demo identity service: a real OpenID provider judges our registration."""

from dataclasses import replace

import pytest

from jupyterhub_mlinfn.cli import registration
from jupyterhub_mlinfn.cli.registration import Registration

CALLBACK = "http://localhost:8000/hub/oauth_callback"
SCOPES = ("openid", "profile", "email", "offline_access")


@pytest.fixture
def registered(identity_service):
    """A running service, and our registration there as it should be."""
    service = identity_service(redirect_uris=(CALLBACK,))
    secret = service.client_secret_file.read_text()
    return service, Registration(service.issuer, (service.client_id, secret), CALLBACK, SCOPES)


def levels(ours):
    return {each.title: each.level for each in registration.findings(ours)}


def test_each_mistake_is_told_from_a_right_registration(registered):
    service, ours = registered
    right = levels(ours)
    assert set(right) == {"Discovery", "Clock", "Scopes", "Client", "Refresh", "Redirect URI"}
    assert set(right.values()) == {"green"}, registration.findings(ours)
    for changed, title in [
        (replace(ours, client=(service.client_id, "another-secret")), "Client"),
        (replace(ours, client=("another-client", ours.client[1])), "Client"),
        (replace(ours, callback=CALLBACK + "/"), "Redirect URI"),
        (replace(ours, scopes=(*SCOPES, "wlcg.groups")), "Scopes"),
        (replace(ours, issuer=service.issuer + "/elsewhere"), "Discovery"),
    ]:
        assert levels(changed)[title] == "red", (title, registration.findings(changed))
    service.switch(outage="503")
    (finding,) = registration.findings(ours)
    assert (finding.title, finding.level) == ("Discovery", "red")
    service.switch(outage=None)
    assert ours.client[1] not in service.text()
    assert registration.findings(ours)[-1].level == "green"
