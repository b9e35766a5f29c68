"""Putting the certificate that is to be used where Traefik sees it, which takes it without losing a connection."""

from __future__ import annotations

from datetime import datetime

from .. import files
from ..errors import OperatorError
from ..settings import Settings
from . import SERVED, authority, dynamic, names_of, own, pair


def put(settings: Settings, now: datetime) -> bool:
    """True if a new certificate was put in place; with ACME that is Traefik's own business.

    Raises OperatorError if the site's is not good. The one that is in place stays then.
    """
    wanted = {"files": given, "self-signed": made}.get(settings.tls.mode)
    if wanted is None:
        return False
    path = dynamic(settings.root) / SERVED
    return files.replace_if_changed(path, wanted(settings, now).pem(), mode=0o640)


def given(settings: Settings, now: datetime) -> pair.Pair:
    """The site's own. Raises OperatorError if browsers would not take it."""
    found = pair.read(settings.tls.certificate, settings.tls.key)
    pair.check(found, names_of(settings), now, pair.authorities())
    return found


def made(settings: Settings, now: datetime) -> pair.Pair:
    """The one that our authority issued, or a new one where it ends soon or names have changed."""
    by, names = own.authority(authority(settings.root), settings.host, now), names_of(settings)
    path = dynamic(settings.root) / SERVED
    try:
        there = pair.read(path, path)
    except OperatorError:
        return own.issued(by, names, now)
    return there if own.is_good(there, by, names, now) else own.issued(by, names, now)
