"""Whether people could log in through an identity service: what `mlinfn iam check` asks it, and what its answers mean.

Nobody logs in for this. The service is asked for its metadata, given a code and a refresh token that cannot be right,
and asked to send a browser without a session back: each refusal says whether our client is registered as it should be.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .. import discovery, login
from ..errors import OperatorError, UserError
from ..settings import Settings
from .finding import Finding

ANSWER_S = 15
LARGEST = 2**20
DRIFT_S = 10
"""More than this is worth mending; tokens are refused from about a minute on."""
WORST_DRIFT_S = 60
RIGHT = "put `iam: issuer:` right in mlinfn.yaml, then: mlinfn up"
UNRENEWED = ("logins cannot be renewed: labs lose their tokens after about an hour, and from then on nobody notices "
             "that somebody left a group.")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the service answered; redirects are not followed."""

    status: int
    body: bytes
    location: str
    date: str
    at: float
    """Our clock when it came, in seconds since 1970."""


@dataclass(frozen=True)
class Registration:
    """Our side of the agreement with an identity service."""

    issuer: str
    client: tuple[str, str] | None
    """Id and secret, or None where they were not given yet."""
    callback: str
    scopes: tuple[str, ...]
    trouble: str = ""
    """What the hub noted last of the service: one of discovery.REASONS, or nothing."""


def of(settings: Settings) -> Registration:
    """The one that the settings describe, also before `login` says so. Raises UserError if they describe none."""
    where = login.callback_url(settings), settings.iam.scopes, noted(settings.root).get("reason", "")
    if settings.iam.issuer:
        real = settings.model_copy(update={"login": "iam"})
        return Registration(settings.iam.issuer, login.client(real) if login.has_client(real) else None, *where)
    if settings.login == "demo":
        return Registration(login.issuer(settings), login.client(settings), *where)
    raise UserError("No identity service is in the settings. Write its address in `iam: {issuer: https://...}`.")


def noted(root: Path) -> dict[str, Any]:
    """What the hub wrote last of the identity service; empty if nothing that can be read."""
    try:
        return json.loads((root / "hub" / "identity-service.json").read_text())
    except (OSError, ValueError):
        return {}


def findings(ours: Registration) -> list[Finding]:
    """How everything is that a login needs, as far as it can be known: what comes first is needed for what follows."""
    found, there = discovered(ours)
    if there is None:
        return found
    if ours.client is None:
        return [*found, Finding("red", "Client", "No id and secret of a client were given.", "mlinfn iam client ID")]
    return found + [_asked(check, ours, there) for check in (_client, _refresh, _redirect)]


def discovered(ours: Registration, limit_s: float = ANSWER_S) -> tuple[list[Finding], discovery.Endpoints | None]:
    """What can be known without a client: whether it answers, its clock, its scopes. And its endpoints, if it does."""
    try:
        metadata = _ask(discovery.well_known(ours.issuer), limit_s=limit_s)
        there = discovery.endpoints(ours.issuer, discovery.answer(metadata.status, metadata.body, to_client=False))
    except (OperatorError, discovery.Outage, discovery.TokenRefused, OSError, http.client.HTTPException) as error:
        return [_no_metadata(ours, error)], None
    answers = Finding("green", "Discovery", f"{ours.issuer} answers and names its endpoints.")
    return [answers, _clock(metadata), _scopes(ours, there)], there


def _asked(check: Callable[[Registration, discovery.Endpoints], Finding], *about) -> Finding:
    try:
        return check(*about)
    except (OSError, http.client.HTTPException) as error:
        return Finding("red", "Identity service", f"It stopped answering: {_why(error)}.", "try again in a minute")


def _no_metadata(ours: Registration, error: Exception) -> Finding:
    where = discovery.well_known(ours.issuer)
    if isinstance(error, OperatorError):
        return Finding("red", "Discovery", str(error), RIGHT)
    if isinstance(error, discovery.TokenRefused):
        return Finding("red", "Discovery", f"There is nothing at {where}.", RIGHT)
    if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
        return Finding("red", "Discovery", f"The certificate of {ours.issuer} is not trusted here.",
                       "put its authority into /usr/local/share/ca-certificates, then: sudo ./install.sh")
    why = str(error) if isinstance(error, discovery.Outage) else _why(error)
    return Finding("red", "Discovery", f"{where} cannot be used: {why}.", f"curl -v {where}")


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)


def _clock(metadata: Answer) -> Finding:
    try:
        drift = metadata.at - parsedate_to_datetime(metadata.date).timestamp()
    except (ValueError, TypeError):
        return Finding("amber", "Clock", "The identity service does not say what time it has.")
    said = f"This machine is {abs(drift):.0f} s {'ahead of' if drift > 0 else 'behind'} the identity service."
    if abs(drift) <= DRIFT_S:
        return Finding("green", "Clock", "This machine and the identity service have the same time.")
    return Finding("red" if abs(drift) > WORST_DRIFT_S else "amber", "Clock", said,
                   "sudo timedatectl set-ntp true || sudo apt-get install chrony")


def _scopes(ours: Registration, there: discovery.Endpoints) -> Finding:
    unknown = [scope for scope in ours.scopes if scope not in there.scopes]
    if there.scopes and unknown:
        return Finding("red", "Scopes", f"The identity service does not know {', '.join(unknown)}.",
                       "put `iam: scopes:` right")
    if "offline_access" not in ours.scopes:
        return Finding("amber", "Scopes", f"Without offline_access {UNRENEWED}",
                       "add offline_access to `iam: scopes:` and to the client")
    if not there.scopes:
        return Finding("amber", "Scopes", "The identity service does not say which scopes it knows.")
    return Finding("green", "Scopes", f"It knows {', '.join(ours.scopes)}.")


def _client(ours: Registration, there: discovery.Endpoints) -> Finding:
    code = {"grant_type": "authorization_code", "code": secrets.token_urlsafe(16), "redirect_uri": ours.callback,
            "code_verifier": secrets.token_urlsafe(48)}  # fmt: skip
    verdict = _refused(ours, there, code)
    if verdict == "grant":
        return Finding("green", "Client", "The identity service knows the client's id and secret.")
    if verdict == "invalid_client":
        return Finding("red", "Client", "The identity service refuses the client's id or secret, or it may not use the "
                       "grant authorization_code.", "mlinfn iam client ID; tick that grant on the client's page")
    return Finding("red", "Client", f"A code was not judged: {verdict}.", "ask who runs the identity service")


def _refresh(ours: Registration, there: discovery.Endpoints) -> Finding:
    verdict = _refused(ours, there, {"grant_type": "refresh_token", "refresh_token": secrets.token_urlsafe(16)})
    if verdict != "grant":
        return Finding("red", "Refresh", "The client may not renew tokens, so labs would lose theirs after an hour.",
                       "tick the grant refresh_token on the client's page")
    if ours.trouble == "no_refresh_token":
        return Finding("red", "Refresh", f"The last login came without a refresh token, and so {UNRENEWED}",
                       "tick the scope offline_access on the client's page, then log in once")
    return Finding("green", "Refresh", "The client may renew tokens.")


def _refused(ours: Registration, there: discovery.Endpoints, form: dict[str, str]) -> str:
    """Why the token endpoint gives nothing for it: "grant" (so the client is right), "invalid_client", or words."""
    answer = _ask(there.token, form, ours.client)
    try:
        discovery.answer(answer.status, answer.body, to_client=True)
    except discovery.Denied:
        return "grant"
    except discovery.Outage as outage:
        return outage.reason if outage.reason == "invalid_client" else str(outage)
    return "it gave a token for a code that nobody has"


def _redirect(ours: Registration, there: discovery.Endpoints) -> Finding:
    asked = {"response_type": "code", "client_id": ours.client[0], "redirect_uri": ours.callback, "prompt": "none",
             "scope": " ".join(ours.scopes), "state": secrets.token_urlsafe(8),
             "code_challenge": secrets.token_urlsafe(32), "code_challenge_method": "S256"}  # fmt: skip
    joint = "&" if "?" in there.authorization else "?"
    answer = _ask(f"{there.authorization}{joint}{urlencode(asked)}")
    back = answer.location.split("?")[0].split("#")[0] == ours.callback
    if back and "error=invalid_scope" in answer.location:
        return Finding("red", "Redirect URI", "It is registered, but the client may not ask for all of the scopes "
                       f"{', '.join(ours.scopes)}.", "tick them on the client's page")
    if back:
        return Finding("green", "Redirect URI", f"{ours.callback} is registered.")
    return Finding("red", "Redirect URI", f"The identity service does not send people back to {ours.callback}.",
                   "add exactly this address to the client's redirect URIs")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *words):
        """None: where we are sent is the answer."""
        return None


# As the hub asks: without a proxy that the environment may name.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def _ask(address: str, form: dict[str, str] | None = None, client: tuple[str, str] | None = None, *,
         limit_s: float = ANSWER_S) -> Answer:  # fmt: skip
    """The answer of any status, to the client if there is one. Raises OSError if there is none."""
    headers = {"Accept": "application/json"}
    if client:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(client).encode()).decode()}"
    request = urllib.request.Request(address, urlencode(form).encode() if form else None, headers)
    try:
        with DIRECT.open(request, timeout=limit_s) as answer:
            return _answer(answer)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error)


def _answer(answer) -> Answer:
    location, date = (answer.headers.get(name, "") for name in ("Location", "Date"))
    return Answer(answer.status, answer.read(LARGEST), location, date, time.time())
