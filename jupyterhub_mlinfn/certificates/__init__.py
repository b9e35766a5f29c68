"""Certificates: what a site gave us, what we make for a closed network, and what browsers are shown.

`pair` reads a certificate with its key and says what is wrong with it, `own` makes one, `placing` puts the one that is
to be used where Traefik sees it, `served` looks at what browsers get, and `keeper` is the service that does both again
and again. This module is for the command line, which starts sooner without the others.
"""

from __future__ import annotations

from pathlib import Path

from ..settings import Settings

SERVICE = "certificate"
"""The service, on `port` + 18 of loopback."""
SERVED = "served.pem"
"""The certificate with its key, in one file, so that there is never one without the other."""


def names_of(settings: Settings) -> tuple[str, ...]:
    """The names that a certificate has to be for."""
    return (settings.host, *([f"*.{settings.host}"] if settings.subdomains else []))


def port(settings: Settings) -> int:
    """Where the service listens, on loopback."""
    return settings.port + 18


def dynamic(root: Path) -> Path:
    """The folder in which Traefik sees every change."""
    return root / "tls" / "dynamic"


def authority(root: Path) -> Path:
    """The folder of our own authority: among the secrets, so that there is a backup of it."""
    return root / "secrets" / "authority"
