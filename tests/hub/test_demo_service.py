"""The demo identity service speaks like INDIGO IAM, and keeps what it promised across restarts."""

from __future__ import annotations

import json
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from support.identity_service import IdentityService
from support.oidc_client import CALLBACK, SCOPE, Client
from support.places import free_ports


@pytest.fixture(scope="module")
def wlcg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service with the other kind of tokens, which end after 12 s."""
    folder = tmp_path_factory.mktemp("wlcg")
    service = IdentityService(folder, free_ports(), redirect_uris=(CALLBACK,), flavour="wlcg", access_s=12)
    service.start()
    yield Client(service)
    service.stop()


def discovery(service: IdentityService) -> dict:
    """The document from which clients know everything else."""
    return requests.get(f"{service.issuer}/.well-known/openid-configuration", timeout=10).json()


def verified(service: IdentityService, token: str, **options) -> dict:
    """The claims of a token whose signature was checked with the published keys."""
    keys = jwt.PyJWKSet.from_dict(requests.get(discovery(service)["jwks_uri"], timeout=10).json())
    header = jwt.get_unverified_header(token)
    return jwt.decode(token, keys[header["kid"]].key, algorithms=["RS256"], issuer=service.issuer, **options)


def test_discovery_has_what_iam_has(service):
    found = discovery(service)
    assert found["issuer"] == service.issuer + "/"
    assert {"plain", "S256"} <= set(found["code_challenge_methods_supported"])
    assert found["authorization_endpoint"] == f"{service.issuer}/authorize"
    assert "end_session_endpoint" not in found


def test_discovery_is_that_of_the_issuer_whoever_asks(service):
    """The health check asks the port itself, the proxy passes other names on."""
    url = f"http://127.0.0.1:{service.port}/demo-iam/.well-known/openid-configuration"
    headers = {"Host": "hub.localhost:4711", "X-Forwarded-Host": "evil.example.org"}
    assert requests.get(url, headers=headers, timeout=10).json() == discovery(service)
    assert requests.get(url, headers={"Host": "evil.example.org"}, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("name", "groups"),
    [("demo-member", ["demo"]), ("demo-keeper", ["demo", "demo/keepers"]), ("demo-other", ["other"]),
     ("demo-nobody", [])],
)  # fmt: skip
def test_person_logs_in_and_is_described(service, client, name, groups):
    tokens = client.tokens(name)
    about = client.userinfo(tokens).json()
    assert about["sub"] == service.subject(name)
    assert about["groups"] == groups
    assert about["preferred_username"] == name
    assert {"organisation_name", "name", "given_name", "family_name", "email"} <= set(about)
    assert tokens["expires_in"] == 3600


def test_access_token_is_a_signed_jwt(service, client):
    tokens = client.tokens("demo-member")
    claims = verified(service, tokens["access_token"])
    assert claims["sub"] == service.subject("demo-member")
    assert claims["client_id"] == "mlinfn"
    assert claims["exp"] - claims["iat"] == 3600
    assert set(claims["scope"].split()) == set(SCOPE.split())
    assert {"iat", "nbf", "jti"} <= set(claims)
    assert not {"groups", "wlcg.groups", "aud"} & set(claims)
    assert verified(service, tokens["id_token"], audience="mlinfn")["sub"] == claims["sub"]


def test_forged_access_token_is_refused(service, client):
    tokens = client.tokens("demo-member")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    head, _, signature = tokens["access_token"].split(".")
    other = urlsafe_b64encode(json.dumps({**claims, "sub": service.subject("demo-keeper")}).encode()).decode()
    forged = [jwt.encode(claims, None, algorithm="none"), f"{head}.{other.rstrip('=')}.{signature}", claims["jti"]]
    for token in forged:
        assert client.userinfo({"access_token": token}).status_code == 401


def test_without_profile_userinfo_is_the_subject_alone(service, client):
    tokens = client.tokens("demo-member", scope="openid email")
    assert client.userinfo(tokens).json() == {"sub": service.subject("demo-member")}
    assert "refresh_token" not in tokens


def test_wlcg_groups_come_with_a_slash_if_asked_for(wlcg):
    tokens = wlcg.tokens("demo-keeper", scope=f"{SCOPE} wlcg.groups")
    about = wlcg.userinfo(tokens).json()
    assert about["wlcg.groups"] == ["/demo", "/demo/keepers"]
    assert "groups" not in about
    claims = verified(wlcg.service, tokens["access_token"], audience="https://wlcg.cern.ch/jwt/v1/any")
    assert claims["wlcg.ver"] == "1.0"
    assert claims["wlcg.groups"] == about["wlcg.groups"]
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 12
    assert discovery(wlcg.service)["issuer"] == wlcg.service.issuer


def test_wlcg_groups_stay_away_if_not_asked_for(wlcg):
    tokens = wlcg.tokens("demo-keeper")
    assert "wlcg.groups" not in wlcg.userinfo(tokens).json()
    assert "wlcg.groups" not in jwt.decode(tokens["access_token"], options={"verify_signature": False})


def test_plain_pkce_works(service):
    client = Client(service, method="plain")
    code = client.log_in("demo-member")["code"]
    assert client.redeem(code, code_verifier=secrets.token_urlsafe(40)).json()["error"] == "invalid_grant"
    assert client.redeem(code).ok


@pytest.mark.parametrize(
    "wrong",
    [{"code_verifier": secrets.token_urlsafe(40)}, {"code_verifier": ""}, {"redirect_uri": "http://localhost:9/other"}],
    ids=["another verifier", "no verifier", "another address"],
)
def test_code_is_refused_with(client, wrong):
    answer = client.redeem(client.log_in("demo-member")["code"], **wrong)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_code_that_comes_twice_ends_what_it_gave(client):
    code = client.log_in("demo-member")["code"]
    tokens = client.redeem(code).json()
    assert client.redeem(code).json()["error"] == "invalid_grant"
    assert client.userinfo(tokens).status_code == 401


def test_code_of_another_service_is_refused(client, wlcg):
    assert client.redeem(wlcg.log_in("demo-member")["code"]).json()["error"] == "invalid_grant"


def test_callback_elsewhere_gets_nothing(client):
    answer = client.open(redirect_uri="http://localhost:9/evil")
    assert answer.status_code == 400
    assert urlsplit(answer.url).path == "/demo-iam/authorize"


def test_wrong_client_secret_is_about_the_client(service, client):
    tokens = client.tokens("demo-member")
    old = service.client_secret_file.read_text()
    service.rotate_client_secret()
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = requests.post(f"{service.issuer}/token", data=fields, auth=("mlinfn", old), timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert client.refresh(tokens).ok


def test_every_login_asks_for_the_password(client):
    client.tokens("demo-member")
    assert 'name="password"' in client.open().text
    assert client.userinfo(client.tokens("demo-other")).json()["preferred_username"] == "demo-other"


def test_two_logins_at_once_do_not_mix(client):
    """Two tabs of one browser."""
    first, second = client.open(state="one"), client.open(state="two")
    for page, name in ((second, "demo-other"), (first, "demo-member")):
        answer = client.submit(page, name, client.service.people[name])
        assert answer.status_code == 303, name


def test_refresh_keeps_the_token_and_reads_groups_anew(service, client):
    tokens = client.tokens("demo-member")
    service.set_groups("demo-member", ["demo", "new/deep"])
    refreshed = client.refresh(tokens).json()
    assert refreshed["refresh_token"] == tokens["refresh_token"]
    assert refreshed["access_token"] != tokens["access_token"]
    assert client.userinfo(refreshed).json()["groups"] == ["demo", "new/deep"]
    assert client.userinfo(tokens).json()["groups"] == ["demo", "new/deep"]


def test_rotated_refresh_token_that_comes_back_ends_the_session(service, client):
    service.switch(rotate=True)
    tokens = client.tokens("demo-member")
    second = client.refresh(tokens).json()
    assert second["refresh_token"] != tokens["refresh_token"]
    third = client.refresh(second).json()
    assert client.refresh(tokens).json()["error"] == "invalid_grant"
    assert client.refresh(third).json()["error"] == "invalid_grant"
    assert client.userinfo(third).status_code == 401


def test_restart_keeps_sessions(service, client):
    service.switch(rotate=True)
    tokens = client.refresh(client.tokens("demo-member")).json()
    code = client.log_in("demo-other")["code"]
    service.kill()  # what was answered is on disk
    service.start()
    assert client.userinfo(tokens).ok
    assert client.refresh(tokens).ok
    assert client.redeem(code).ok
    assert stat.S_IMODE((service.files / "state.json").stat().st_mode) == 0o600


def test_many_refreshes_at_once_are_all_kept(service, client):
    tokens = client.tokens("demo-member")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.refresh, [tokens] * 24))
    assert all(answer.ok for answer in answers)
    stored = json.loads((service.files / "state.json").read_text())["entries"]
    for answer in answers:
        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert f"AccessToken:{claims['jti']}" in stored


def test_nothing_secret_is_in_its_log(service, client):
    client.refresh(client.tokens("demo-member"))
    assert len(service.issued()) > 8
    assert [secret for secret in service.issued() if secret in service.text()] == []
