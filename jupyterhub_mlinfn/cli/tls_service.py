"""The services that let people in by TLS: what they need before they start. `traefik` stands in front of the proxy, and
`certificate` keeps what it shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from .. import certificates, files
from ..errors import OperatorError
from ..settings import Settings
from . import tls_config

TRAEFIK, CERTIFICATE = "traefik", certificates.SERVICE
NAME = "tls"
"""The profile of both."""
UID = 69012
COMPOSE_FILE = "compose.tls.yaml"
DNS, ACCOUNT_KEY = "dns.env", "eab_hmac"
STATIC, ROUTES = "traefik.yaml", "routes.yaml"
NEEDED: Mapping[str, str] = {
    DNS: "what your DNS provider wants to know, as NAME=VALUE, a line for each",
    ACCOUNT_KEY: "the HMAC of your external account",
}
"""What a keeper has to put into the files of secrets/traefik."""
EMPTY_DNS = """# What the provider of your name's records wants to know, with `challenge: dns`, a line for each, such as
# RFC2136_NAMESERVER=192.0.2.53
# What each provider calls it: https://go-acme.github.io/lego/dns/
"""


def variables(settings: Settings) -> dict[str, str]:
    """What compose.yaml needs to know of the settings."""
    tls = settings.tls
    return {
        # Loopback unless somebody typed that everybody may read along.
        "MLINFN_PROXY_ADDRESS": "0.0.0.0" if tls.plain_http else "127.0.0.1",
        # What Traefik says of who asks is not added to.
        "MLINFN_PROXY_FORWARD": "--no-x-forward" if tls.is_on else "",
        "MLINFN_SECURE_COOKIES": "true" if tls.is_on else "false",
        "MLINFN_CERTIFICATE_PORT": str(certificates.port(settings)),
        "MLINFN_TRAEFIK_PORT": str(tls_config.monitor_port(settings)),
    }


def compose_file(settings: Settings) -> str:
    """The file beside compose.yaml that shows `certificate` the site's own; empty where there is none."""
    return str(settings.root / COMPOSE_FILE) if settings.tls.mode == "files" else ""


def static_file(settings: Settings) -> Path:
    """What Traefik reads when it starts."""
    return settings.root / "tls" / "static" / STATIC


def secret_files(settings: Settings) -> list[tuple[Path, int]]:
    """The secrets that a keeper gives, with the uid that alone may read them."""
    folder, acme = settings.root / "secrets" / TRAEFIK, settings.tls.acme
    if settings.tls.mode != "acme":
        return []
    wanted = {DNS: acme.challenge == "dns", ACCOUNT_KEY: bool(acme.account)}
    return [(folder / name, UID) for name, needed in wanted.items() if needed]


def ground(settings: Settings) -> list[str]:
    """What the services need, made where it is missing: folders, configurations, and the first certificate.

    Raises OperatorError if the site's certificate is not good, or a secret was not given.
    """
    if not settings.tls.is_on:
        return []
    done = _folders(settings)
    account_key = _given(settings)
    if placed := _placed(settings):
        done.append(placed)
    places = tls_config.Places()
    static = _text(tls_config.static(settings, places, account_key))
    done += _wrote(static_file(settings), static, 0o600, UID)
    dynamic = certificates.dynamic(settings.root)
    done += _wrote(dynamic / ROUTES, _text(tls_config.routes(settings, places)), 0o640, -1)
    if path := compose_file(settings):
        done += _wrote(Path(path), _text(_compose_part(settings)), 0o600, -1)
    return done


def _folders(settings: Settings) -> list[str]:
    """Traefik has its own; what it only reads is root's, of its group."""
    home, done = settings.root / "tls", []
    for folder in (home, home / "static", home / "acme", certificates.dynamic(settings.root),
                   certificates.authority(settings.root), settings.root / "secrets" / TRAEFIK):
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            done.append(f"Made {folder}.")
    for folder in (home / "static", home / "acme", settings.root / "secrets" / TRAEFIK):
        os.chown(folder, UID, UID)
    dynamic = certificates.dynamic(settings.root)
    os.chown(dynamic, 0, UID)
    dynamic.chmod(0o2750)  # what `certificate`, which may give nothing away, puts there is of Traefik's group
    return done


def _given(settings: Settings) -> str:
    """The HMAC of an external account, if there is one. Raises OperatorError if a secret was not given."""
    for path, uid in secret_files(settings):
        if not path.is_file() and path.name == DNS:
            files.replace(path, EMPTY_DNS, owner=uid)
        if not path.is_file() or not _lines(path):
            raise OperatorError(f"{path} is {'empty' if path.is_file() else 'missing'}, and `tls.acme` needs it: "
                                f"{NEEDED[path.name]}. See docs/how-to/serve-with-tls.md.")
        os.chown(path, uid, uid)
        path.chmod(0o600)
    key = settings.root / "secrets" / TRAEFIK / ACCOUNT_KEY
    return key.read_text().strip() if settings.tls.mode == "acme" and settings.tls.acme.account else ""


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def _placed(settings: Settings) -> str:
    """A sentence if a new certificate was put in place."""
    from ..certificates import placing

    for path in filter(None, (settings.tls.certificate, settings.tls.key)):
        if path.is_file() and path.stat().st_uid and not path.stat().st_mode & 0o004:
            raise OperatorError(f"{path} does not belong to root, so the service {CERTIFICATE}, which has root's name "
                                f"and no more, could not read it: sudo chown root {path}")
    placed = placing.put(settings, datetime.now(timezone.utc))
    return f"Put the certificate of {settings.host} in place." if placed else ""


def _compose_part(settings: Settings) -> Mapping[str, object]:
    """The folders of the site's certificate and key, and those that links there lead to, as they are on the host."""
    there = [each for each in (settings.tls.certificate, settings.tls.key) if each]
    folders = sorted({str(path.parent) for each in there for path in (each, each.resolve())})
    volumes = [{"type": "bind", "source": each.replace("$", "$$"), "target": each.replace("$", "$$"),
                "read_only": True} for each in folders]  # fmt: skip
    return {"services": {CERTIFICATE: {"volumes": volumes}}}


def _text(data: object) -> str:
    return json.dumps(data, indent=1) + "\n"


def _wrote(path: Path, text: str, mode: int, owner: int) -> list[str]:
    return [f"Wrote {path}."] if files.replace_if_changed(path, text, mode=mode, owner=owner) else []
