"""What `mlinfn doctor` asks of others: names, resolvers, registries, proxies, the identity service."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..hosts import is_address, is_of_this_machine
from ..references import OURS
from ..settings import Settings
from . import registration
from .asking import at_once, said
from .finding import Finding
from .machine import About

PATIENCE_S = 2
"""For finding a name, and again for an answer."""
SOME_LAB = "some-lab"
"""Labs are on subdomains of the public name; any will do."""
QUERY = b"\x4d\x4c\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x00" + b"\x00\x02\x00\x01"
"""Who serves the root of the DNS: a question (RFC 1035, 4.1) that each resolver can answer."""
DNS_PORT = 53
NOT_FOUND = "its name has no address"
NOBODY = "192.0.2.1"
"""An address that is nobody's (RFC 5737)."""
DOCKERS, RESOLVED, LISTED = "etc/docker/daemon.json", "run/systemd/resolve/resolv.conf", "etc/resolv.conf"
"""Files with resolvers for labs: the first that has one counts."""
STUB = ("127.0.0.53",)
"""What is listed where systemd-resolved asks others in everybody's stead; labs cannot reach it."""


@dataclass(frozen=True)
class Outside:
    """What they answered."""

    names: Mapping[str, str]
    """Name under which people or labs find the service -> address, empty if it has none."""
    address: str
    """This machine's own, as others may see it."""
    resolvers: Mapping[str, str]
    """Address of each resolver that labs get -> empty if it answers, else why not."""
    resolvers_from: str
    """The file that those are from: DOCKERS, RESOLVED or LISTED."""
    registries: Mapping[str, float | str]
    """Registry of offered images -> seconds that this machine is ahead of it, or why it does not answer."""
    proxies: Mapping[str, str]
    """Proxy of CVMFS's client -> empty if it answers, else why not."""
    issuer: tuple[Finding, ...]
    """What a look at the identity service said."""


def look(settings: Settings, about: About, world: Path) -> Outside:
    """What they answer now; each has a few seconds, all at the same time."""
    source, given = resolvers(world)
    return Outside(resolvers_from=source, **at_once({
        "names": lambda: at_once({name: lambda name=name: address_of(name) for name in names(settings)}),
        "address": own_address,
        "resolvers": lambda: at_once({each: lambda each=each: asked(each) for each in given}),
        "registries": lambda: _registries(settings, about()),
        "proxies": lambda: at_once({each: lambda each=each: reached(each) for each in proxies(settings)}),
        "issuer": lambda: issuer(settings),
    }))  # fmt: skip


def names(settings: Settings) -> tuple[str, ...]:
    """Names that have to lead here. Browsers know *.localhost by themselves, and an address needs nobody."""
    if is_of_this_machine(settings.host) or is_address(settings.host):
        return ()
    return (settings.host, *([f"{SOME_LAB}.{settings.host}"] if settings.subdomains else []))


def address_of(name: str) -> str:
    """The address that this machine finds for a name; empty if none."""
    found = said("getent", "ahosts", name, limit_s=PATIENCE_S)
    return found.text.split()[0] if found.is_well and found.text else ""


def is_found(host: str) -> bool:
    """True if the host has an address, or is one: who asks for an address without this may wait for half a minute."""
    return bool(address_of(host))


def own_address() -> str:
    """The address from which this machine speaks to others; empty without a way out. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((NOBODY, DNS_PORT))
        except OSError:
            return ""
        return probe.getsockname()[0]


def resolvers(world: Path) -> tuple[str, tuple[str, ...]]:
    """Where Docker finds resolvers for labs, and their addresses."""
    if told := _told(world / DOCKERS).get("dns"):
        return DOCKERS, tuple(told)
    listed, behind = _listed(world / LISTED), _listed(world / RESOLVED)
    if behind and listed == STUB:
        return RESOLVED, behind
    is_linked = (world / LISTED).resolve().parent == (world / RESOLVED).parent.resolve()
    return RESOLVED if is_linked else LISTED, listed


def _told(daemon: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(daemon.read_text())
    except (OSError, ValueError):  # Docker itself says what it cannot read
        return {}
    return told if isinstance(told, dict) else {}


def _listed(path: Path) -> tuple[str, ...]:
    lines = path.read_text().splitlines() if path.is_file() else []
    return tuple(words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver")


def asked(resolver: str) -> str:
    """Empty if the resolver answers, else why not."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(resolver.partition("%")[0]).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.settimeout(PATIENCE_S)
            probe.connect((resolver, DNS_PORT))
            probe.send(QUERY)
            probe.recv(512)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _registries(settings: Settings, about: Mapping[str, Any] | str) -> dict[str, float | str]:
    """Asked as the Engine would; nothing while there is none."""
    if isinstance(about, str):
        return {}
    found = {registry_of(each.image, about) for each in settings.images if not each.image.startswith(OURS)}
    ways = {"http": about.get("HttpProxy"), "https": about.get("HttpsProxy")}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({key: way for key, way in ways.items() if way}))
    there = [each for each in found if each and (any(ways.values()) or is_found(_host(each)))]
    answers = at_once({each: lambda each=each: ahead_of(each, opener) for each in there})
    return dict.fromkeys(filter(None, found), NOT_FOUND) | answers


def _host(place: str) -> str:
    """The host of HOST or HOST:PORT."""
    return place.rpartition(":")[0] or place


def registry_of(image: str, engine: Mapping[str, Any]) -> str:
    """The host that an image comes from; for one that names none, that of the Engine's own index."""
    first, slash, _ = image.partition("/")
    if slash and (re.search(r"[.:]", first) or first == "localhost"):
        return first
    return urlsplit(engine.get("IndexServerAddress") or "").netloc


def ahead_of(registry: str, opener: urllib.request.OpenerDirector) -> float | str:
    """Seconds that this machine's clock is ahead of the registry's, or why that cannot be known."""
    scheme = "http" if is_of_this_machine(_host(registry)) else "https"
    request = urllib.request.Request(f"{scheme}://{registry}/v2/", method="HEAD")
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refused:  # "log in first" is an answer
        date = refused.headers.get("Date")
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error))
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return 0.0


def proxies(settings: Settings) -> Iterable[str]:
    """HOST:PORT of each proxy that CVMFS's client asks, where there is one."""
    if not settings.cvmfs.repositories:
        return
    for each in re.split(r"[;|]", settings.cvmfs.proxy):
        if each not in ("DIRECT", "auto", ""):
            there = urlsplit(each if "//" in each else f"http://{each}")
            yield f"{there.hostname}:{there.port or 3128}"


def reached(place: str) -> str:
    """Empty if something listens at HOST:PORT, else why not."""
    if not is_found(_host(place)):
        return NOT_FOUND
    try:
        socket.create_connection((_host(place), int(place.rpartition(":")[2])), PATIENCE_S).close()
    except OSError as error:
        return str(error)
    return ""


def issuer(settings: Settings) -> tuple[Finding, ...]:
    """How the identity service is, as far as anybody may ask; nothing with another `login`."""
    if settings.login != "iam":
        return ()
    host = urlsplit(settings.iam.issuer).hostname
    if not is_found(host):
        return (Finding("red", "Discovery", f"{host} has no address here, so nobody logs in.", f"getent hosts {host}"),)
    return tuple(registration.discovered(registration.of(settings), PATIENCE_S)[0])
