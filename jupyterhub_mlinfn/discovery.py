"""What an OpenID provider says of itself, and what its answers mean. Pure: nothing here touches the network.

The hub and the command line both ask `well_known(issuer)` for the metadata and give them to `endpoints`; every answer
of the provider goes through `answer` first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .errors import OperatorError
from .hosts import is_of_this_machine

WORDS = {
    "unreachable": "it does not answer",
    "server_error": "it answers with an error",
    "rate_limited": "it says that it is asked too often",
    "not_json": "it answers with something else, such as a web page",
    "invalid_client": "it does not know this service's client id and secret",
    "clock": "its clock and this machine's differ",
    "metadata": "what it publishes about itself cannot be used",
    "id_token": "its id tokens prove nothing",
    "refused": "it refuses the tokens that it has just given",
    "no_refresh_token": "it gave no refresh token (scope offline_access, grant refresh_token)",
}
REASONS = tuple(WORDS)
"""Everything that can be the matter with an identity service, or with this site's registration there."""
LASTING = ("invalid_client", "clock", "id_token", "refused", "no_refresh_token")
"""Those that are not over when the service answers again."""
AUP = re.compile(r"\bAUP\b|acceptable use", re.IGNORECASE)


class Outage(Exception):
    """The identity service cannot be asked now. It says nothing about anybody. `reason` is one of REASONS."""

    def __init__(self, reason: str):
        super().__init__(WORDS[reason])
        self.reason = reason


class Denied(Exception):
    """The identity service, or a claim of it, is definitely against this person. `why` is a fixed word:

    grant (the code or refresh token is not good any more), aup (the acceptable use policy has to be signed), subject
    or mismatch (somebody else is meant), id_token (it proves nothing; at a refresh that is an Outage).
    """

    def __init__(self, why: str):
        super().__init__(why)
        self.why = why


class TokenRefused(Exception):
    """An access token was not accepted; it may be old, withdrawn, or good for nothing here."""


@dataclass(frozen=True)
class Endpoints:
    """Where to ask. `issuer` is without a slash at its end."""

    issuer: str
    authorization: str
    token: str
    userinfo: str
    keys: str
    scopes: tuple[str, ...] = ()
    """Scopes that the provider says it knows; empty where it does not say."""


def bare(issuer: str) -> str:
    """The issuer without one slash at its end. IAM publishes it with one and signs tokens without."""
    return issuer[:-1] if issuer.endswith("/") else issuer


def well_known(issuer: str) -> str:
    """Where the metadata of an issuer are (OpenID Connect Discovery 1.0, section 4)."""
    return f"{bare(issuer)}/.well-known/openid-configuration"


def endpoints(issuer: str, metadata: Mapping[str, Any]) -> Endpoints:
    """The endpoints in metadata that were found for `issuer`. Raises OperatorError if one cannot be trusted."""
    named = metadata.get("issuer")
    if not isinstance(named, str) or bare(named) != bare(issuer):
        raise OperatorError(f"The metadata at {well_known(issuer)} are those of another issuer. Write that issuer's "
                            "own address in `iam.issuer`, letter by letter as its documentation has it.")
    scopes = metadata.get("scopes_supported")
    return Endpoints(bare(issuer), _address(metadata, "authorization_endpoint"), _address(metadata, "token_endpoint"),
                     _address(metadata, "userinfo_endpoint"), _address(metadata, "jwks_uri"),
                     tuple(s for s in scopes if isinstance(s, str)) if isinstance(scopes, list) else ())  # fmt: skip


def _address(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    if not isinstance(value, str) or not is_safe(value):
        raise OperatorError(f"The issuer's metadata have no {key} that can be used: it has to be an https address.")
    return value


def is_safe(address: str) -> bool:
    """True for https, and for http on this machine itself."""
    try:
        there = urlsplit(address)
        host, _ = there.hostname or "", there.port
    except ValueError:
        return False
    plain = bool(host) and not re.search(r"[\s\\#@]", address)
    return plain and (there.scheme == "https" or (there.scheme == "http" and is_of_this_machine(host)))


def answer(status: int, body: bytes, *, to_client: bool) -> dict[str, Any]:
    """The JSON object that an endpoint answered with. Raises Outage, Denied or TokenRefused for anything else.

    `to_client` is true where it is our client that asked (the token endpoint), false where a token was shown. What the
    endpoint says in words is never kept.
    """
    words = _object(body)
    error = words.get("error") if words is not None else None
    if status == 429 or status >= 500:
        raise Outage("rate_limited" if status == 429 else "server_error")
    if to_client and error == "invalid_grant" and status >= 400:
        raise Denied("aup" if AUP.search(str(words.get("error_description"))) else "grant")
    if to_client and (status == 401 or error in ("invalid_client", "unauthorized_client")):
        raise Outage("invalid_client")
    if not to_client and status in (401, 403, 404):
        raise TokenRefused
    if words is None:
        raise Outage("not_json")
    if status != 200 or error is not None:
        raise Outage("server_error")
    return words


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        words = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, dict) else None
