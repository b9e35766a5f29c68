"""What a provider says of itself, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from jupyterhub_mlinfn import discovery
from jupyterhub_mlinfn.discovery import Denied, Outage, TokenRefused
from jupyterhub_mlinfn.errors import OperatorError

ISSUER = "https://iam.example.org"
METADATA = {"issuer": f"{ISSUER}/", "authorization_endpoint": f"{ISSUER}/authorize", "jwks_uri": f"{ISSUER}/jwk",
            "token_endpoint": f"{ISSUER}/token", "userinfo_endpoint": f"{ISSUER}/userinfo",
            "scopes_supported": ["openid", 7]}  # fmt: skip


@pytest.mark.parametrize("asked", [ISSUER, f"{ISSUER}/"])
@pytest.mark.parametrize("named", [ISSUER, f"{ISSUER}/"])
def test_slash_at_the_end_does_not_matter(asked, named):
    assert discovery.well_known(asked) == f"{ISSUER}/.well-known/openid-configuration"
    found = discovery.endpoints(asked, {**METADATA, "issuer": named})
    assert (found.issuer, found.token, found.scopes) == (ISSUER, f"{ISSUER}/token", ("openid",))


@pytest.mark.parametrize("named", [None, 7, "", "https://iam.example.com", f"{ISSUER}//", f"{ISSUER}/x"])
def test_metadata_of_another_issuer_are_refused(named):
    with pytest.raises(OperatorError, match="another issuer"):
        discovery.endpoints(ISSUER, {**METADATA, "issuer": named})


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [("https://iam.example.org/token", True), ("http://localhost:8000/x", True), ("http://127.0.0.1/x", True),
     ("http://[::1]:80/x", True), ("http://iam.example.org/token", False), ("http://localhost.example.org/", False),
     ("http://127.0.0.1.example.org/", False), ("http://localhost@example.org/", False), ("https://", False),
     ("https://a b/", False), ("https://a\n/", False), ("file:///etc/passwd", False), ("", False),
     ("https://x:port/", False), ("//iam.example.org/", False)],
)  # fmt: skip
def test_endpoints_are_https_or_on_this_machine(address, is_safe):
    assert discovery.is_safe(address) is is_safe
    if not is_safe:
        with pytest.raises(OperatorError, match="token_endpoint"):
            discovery.endpoints(ISSUER, {**METADATA, "token_endpoint": address})


def error(code: str, words: str = "") -> bytes:
    return json.dumps({"error": code, "error_description": words}).encode()


@pytest.mark.parametrize(
    ("status", "body", "to_client", "meaning"),
    [(400, error("invalid_grant"), True, "grant"), (401, error("invalid_grant"), True, "grant"),
     (400, error("invalid_grant", "User anna needs to sign AUP for this organization"), True, "aup"),
     (500, error("invalid_grant"), True, "server_error"), (429, error("invalid_grant"), True, "rate_limited"),
     (200, error("invalid_grant"), True, "server_error"), (400, error("invalid_client"), True, "invalid_client"),
     (401, b"<html>", True, "invalid_client"), (401, error("unauthorized"), True, "invalid_client"),
     (400, error("unauthorized_client"), True, "invalid_client"), (403, b"<html>", True, "not_json"),
     (400, error("invalid_scope"), True, "server_error"), (503, b"", True, "server_error"),
     (200, b"", True, "not_json"), (200, b"null", False, "not_json"),
     (200, b"<html>", False, "not_json"), (401, b"<html>", False, "refused"), (403, b"{}", False, "refused"),
     (404, b"", False, "refused"), (400, error("invalid_grant"), False, "server_error")],
)  # fmt: skip
def test_only_a_plain_invalid_grant_is_about_the_person(status, body, to_client, meaning):
    with pytest.raises((Outage, Denied, TokenRefused)) as raised:
        discovery.answer(status, body, to_client=to_client)
    found = raised.value
    assert (getattr(found, "reason", None) or getattr(found, "why", None) or "refused") == meaning


def test_every_reason_has_words():
    assert tuple(discovery.WORDS) == discovery.REASONS
