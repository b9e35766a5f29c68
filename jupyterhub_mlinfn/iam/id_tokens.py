"""Id tokens: whom one is about, if it proves that at all (OpenID Connect Core 1.0, section 3.1.3.7). Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt

from .. import claims as claims_of
from ..discovery import Denied, Outage, bare

LEEWAY_S = 30
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""Signatures that are accepted, by kind of key. None that a public key could forge (HS256), and never none."""


def nonce(state: str) -> str:
    """What an id token has to repeat so that it answers the login with this `state`, which a cookie keeps."""
    return hashlib.sha256(b"nonce:" + state.encode()).hexdigest()


def key_id(token: Any) -> str | None:
    """Name of the key that signed a token, None if it does not say. Raises Denied if it is no token."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.InvalidTokenError, TypeError, AttributeError, RecursionError):
        raise Denied("id_token") from None
    return kid if isinstance(kid, str) else None


def verified(token: str, key: jwt.PyJWK | None, issuer: str, client_id: str) -> claims_of.Claims:
    """The claims of an id token that `key` signed, for this client and now. Raises Denied, or Outage("clock")."""
    if key is None:
        raise Denied("id_token")
    allowed = ALGORITHMS.get(key.key_type or "", ())
    options = {"require": ["exp", "iat", "iss", "aud", "sub"]}
    try:
        claims = jwt.decode(token, key.key, algorithms=allowed, audience=client_id, leeway=LEEWAY_S, options=options,
                            issuer=[bare(issuer), f"{bare(issuer)}/"])  # fmt: skip
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise Outage("clock") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Denied("id_token") from None
    if claims.get("azp", client_id) != client_id or not claims_of.subject(claims):
        raise Denied("id_token")
    return claims
