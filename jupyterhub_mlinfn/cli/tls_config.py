"""What Traefik is told, from the settings: how it listens, and where it sends whom. It reads JSON where it reads YAML.

It stands in front of the proxy, sends everything there, and keeps nothing back: websockets, progress and downloads pass
as they come. What it says of who asks, and how, is what the hub and labs believe; the same from outside is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..certificates import SERVED, names_of
from ..settings import Settings, seconds_of

ACCOUNT = "acme.json"
RESOLVER, MONITOR = "acme", "monitor"
PROVIDER_WAITS_S = "0.5s"
UPLOAD_S = 300
"""Most that a request may take to come in."""
LOGGED = ("ClientHost", "DownstreamContentSize", "DownstreamStatus", "Duration", "RequestHost", "RequestMethod",
          "RequestPath", "RequestProtocol", "StartUTC", "TLSVersion")  # fmt: skip
"""Of each request. No header is, nor what follows the `?`: one-time codes and tokens are there."""
CIPHERS = [f"TLS_ECDHE_{key}_WITH_{cipher}" for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384",
           "CHACHA20_POLY1305_SHA256") for key in ("ECDSA", "RSA")]  # fmt: skip
"""With TLS 1.2; 1.3 has its own."""
PLAIN_NAMES = {"aliasHeadersStrategy": "delete"}
"""Some programs take X_Forwarded_For for X-Forwarded-For, and what comes from outside is not to be believed."""


BY_PASSWORD = "(Method(`POST`) && (Path(`/hub/login`) || PathRegexp(`^/hub/api/users/[^/]+/tokens$`)))"
LOGINS = f"({BY_PASSWORD} || PathRegexp(`^/hub/oauth_(login|callback)$`))"
"""Where passwords are tried, and where people come from an identity service. Looking at the form is not a login."""
PAGES = {"contentTypeNosniff": True, "referrerPolicy": "same-origin",
         "customResponseHeaders": {"Server": "", "X-JupyterHub-Version": ""}}  # fmt: skip
"""For the hub's own pages. What may frame them they say themselves, and labs say all of this themselves."""


@dataclass(frozen=True)
class Places:
    """Where Traefik finds its files."""

    dynamic: str = "/etc/traefik/dynamic"
    """A folder in which it sees every change: routes and the certificate."""
    kept: str = "/var/lib/traefik"
    """A folder that it may write to: what ACME gave it."""


def static(settings: Settings, places: Places, account_key: str = "") -> dict[str, Any]:
    """What it reads once, when it starts. `account_key` is the HMAC of an external account."""
    tls = settings.tls
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN", "noColor": True},
        "accessLog": _access_log(),
        "entryPoints": _entry_points(settings),
        "providers": {"file": {"directory": places.dynamic, "watch": True},
                      "providersThrottleDuration": PROVIDER_WAITS_S},
        "ping": {"entryPoint": MONITOR},
        "metrics": {"prometheus": {"entryPoint": MONITOR, "addServicesLabels": False}},
        **({"certificatesResolvers": {RESOLVER: {"acme": _acme(settings, places, account_key)}}}
           if tls.mode == "acme" else {}),
    }  # fmt: skip


def _access_log() -> dict[str, Any]:
    return {"format": "json", "fields": {
        "defaultMode": "drop", "names": dict.fromkeys(LOGGED, "keep"), "headers": {"defaultMode": "drop"},
        "queryParameters": {"defaultMode": "drop"},
    }}  # fmt: skip


def _entry_points(settings: Settings) -> dict[str, Any]:
    tls, waits = settings.tls, {"respondingTimeouts": {"readTimeout": f"{UPLOAD_S}s"}}
    points = {
        "https": {"address": f":{tls.port}", "transport": waits, "http": PLAIN_NAMES},
        MONITOR: {"address": f"127.0.0.1:{monitor_port(settings)}", "http": PLAIN_NAMES},
    }
    if tls.http_port:
        on = {"to": f":{tls.port}", "scheme": "https", "permanent": True}
        points["http"] = {"address": f":{tls.http_port}", "http": {**PLAIN_NAMES, "redirections": {"entryPoint": on}}}
    return points


def monitor_port(settings: Settings) -> int:
    """Where it says on loopback how it is."""
    return settings.port + 19


def _acme(settings: Settings, places: Places, account_key: str) -> dict[str, Any]:
    """Name servers that the site names are asked instead of those of the zone: an institute may not reach these."""
    acme = settings.tls.acme
    said = {"caServer": acme.directory, "email": acme.email, "storage": f"{places.kept}/{ACCOUNT}", "keyType": "EC256"}
    if acme.account:
        said["eab"] = {"kid": acme.account, "hmacEncoded": account_key}
    if acme.challenge == "http":
        return {**said, "httpChallenge": {"entryPoint": "http"}}
    asked = {"propagation": {"disableANSChecks": True, "requireAllRNS": True}, "resolvers": list(acme.resolvers)}
    return {**said, "dnsChallenge": {"provider": acme.provider, **(asked if acme.resolvers else {})}}


def routes(settings: Settings, places: Places) -> dict[str, Any]:
    """What it may be told at any time: it goes on without losing a connection."""
    own = f"Host(`{settings.host}`)"
    everything = f"{own} || HostRegexp(`^[^.]+\\.{re.escape(settings.host)}$`)" if settings.subdomains else own
    hub = f"{own} && PathPrefix(`/hub/`)"
    return {
        "http": {
            "routers": {
                "all": _router(settings, everything, 1, ["hsts"]),
                "hub": _router(settings, hub, 2, ["hsts", "pages"]),
                "logins": _router(settings, f"{hub} && {LOGINS}", 3, ["logins", "hsts", "pages"]),
            },
            "middlewares": {"hsts": {"headers": _insistence(settings)}, "pages": {"headers": PAGES},
                            "logins": {"rateLimit": _rate(settings.tls.logins)}},
            "services": {"proxy": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{settings.port}"}]}}},
        },
        "tls": _certificates(settings, places),
    }  # fmt: skip


def _router(settings: Settings, rule: str, priority: int, middlewares: list[str]) -> dict[str, Any]:
    tls: dict[str, Any] = {}
    if settings.tls.mode == "acme":
        tls = {"certResolver": RESOLVER, "domains": [{"main": settings.host, "sans": list(names_of(settings)[1:])}]}
    return {"entryPoints": ["https"], "rule": rule, "priority": priority, "service": "proxy",
            "middlewares": middlewares, "tls": tls}  # fmt: skip


def _insistence(settings: Settings) -> dict[str, Any]:
    """Not where people may have to accept a certificate that their browser does not know."""
    tls = settings.tls
    if tls.hsts is None or tls.mode == "self-signed":
        return {"customResponseHeaders": {"Strict-Transport-Security": ""}}  # nor may a lab say it
    return {"stsSeconds": seconds_of(tls.hsts), "stsIncludeSubdomains": settings.subdomains}


def _rate(logins: int) -> dict[str, Any]:
    return {"average": logins, "period": "1m", "burst": logins,
            "sourceCriterion": {"ipStrategy": {"ipv6Subnet": 64}}}  # fmt: skip


def _certificates(settings: Settings, places: Places) -> dict[str, Any]:
    options = {"default": {"minVersion": "VersionTLS12", "sniStrict": False, "cipherSuites": CIPHERS}}
    if settings.tls.mode == "acme":
        return {"options": options}
    pair = {"certFile": f"{places.dynamic}/{SERVED}", "keyFile": f"{places.dynamic}/{SERVED}"}
    return {"options": options, "certificates": [pair], "stores": {"default": {"defaultCertificate": pair}}}
