"""What browsers are shown at the public port, whoever it comes from."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ..settings import Settings
from . import names_of, pair

ANSWER_S = 3
NOBODYS = "TRAEFIK DEFAULT CERT"
"""What Traefik shows while it has no other."""


@dataclass(frozen=True)
class Served:
    """A certificate as browsers see it."""

    names: tuple[str, ...] = ()
    ends: datetime | None = None
    trouble: str = ""
    """Why browsers do not take it, or why nobody knows; a sentence. Empty if they do."""


def look(settings: Settings, now: datetime) -> Served:
    """What is shown now."""
    try:
        certificate = x509.load_der_x509_certificate(_shown(settings))
    except OSError as error:
        return Served(trouble=f"Nothing answers by TLS on port {settings.tls.port} ({error}).")
    if certificate.subject.rfc4514_string() == f"CN={NOBODYS}":
        return Served(trouble="There is none yet.")
    names, ends = pair.named(certificate), certificate.not_valid_after_utc
    missing = [name for name in names_of(settings) if not pair.covers(certificate, name)]
    trouble = f"It is for {pair.shown(certificate)}, and not for {', '.join(missing)}." if missing else ""
    return Served(names, ends, f"It ended on {ends:%Y-%m-%d}." if ends <= now else trouble)


def _shown(settings: Settings) -> bytes:
    """Whatever it is, it is only looked at: nothing is said to who shows it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (socket.create_connection(("127.0.0.1", settings.tls.port), ANSWER_S) as bare,
          context.wrap_socket(bare, server_hostname=settings.host) as secure):  # fmt: skip
        return secure.getpeercert(binary_form=True)
