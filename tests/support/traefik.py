"""Traefik as a process, told what `mlinfn prepare` tells it, in front of whatever listens on the instance's port."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import requests
import websocket
from requests.adapters import HTTPAdapter

from jupyterhub_mlinfn import certificates, login
from jupyterhub_mlinfn.certificates import own, pair, placing, served
from jupyterhub_mlinfn.cli import tls_config
from jupyterhub_mlinfn.settings import Settings
from support.process import Program
from support.wait import until

PROGRAM = Path(sys.executable).parent / "traefik"
HOST = "hub.example.org"


def now() -> datetime:
    """The time."""
    return datetime.now(timezone.utc)


class ByName(HTTPAdapter):
    """Finds every name on loopback, and says it in the handshake and in the request, as browsers do."""

    def build_connection_pool_key_attributes(self, request, verify, cert=None):
        """Called by requests: where to connect, and whom to expect there."""
        there, how = super().build_connection_pool_key_attributes(request, verify, cert)
        name = there["host"]
        return {**there, "host": "127.0.0.1"}, {**how, "server_hostname": name, "assert_hostname": name}

    def send(self, request, **options) -> requests.Response:
        """The answer. The request keeps no name: it would go along with a redirect to another."""
        request.headers["Host"] = urlsplit(request.url).netloc
        try:
            return super().send(request, **options)
        finally:
            del request.headers["Host"]


def browser(authority: Path) -> requests.Session:
    """Somebody who knows this authority and no other."""
    session = requests.Session()
    session.verify, session.trust_env = str(authority), False
    session.mount("https://", ByName())
    session.mount("http://", ByName())
    return session


class Traefik(Program):
    """One Traefik with its files in the instance's root. `authority` is who issued its certificate."""

    def __init__(self, settings: Settings, authority: Path, environment: dict[str, str] | None = None,
                 program: Path = PROGRAM):  # fmt: skip
        self.settings, self.authority, home = settings, authority, settings.root / "tls"
        self.dynamic, self.kept = certificates.dynamic(settings.root), home / "acme"
        for folder in (self.dynamic, self.kept, certificates.authority(settings.root)):
            folder.mkdir(parents=True, exist_ok=True)
        self.places = tls_config.Places(str(self.dynamic), str(self.kept))
        super().__init__([str(program), f"--configFile={home}/traefik.yaml"], home / "traefik.log", environment)

    def start(self) -> None:
        """Write what it reads, start it, and wait until it knows where to send people."""
        self.put()
        static = tls_config.static(self.settings, self.places)
        (self.settings.root / "tls/traefik.yaml").write_text(json.dumps(static))
        (self.dynamic / "routes.yaml").write_text(json.dumps(tls_config.routes(self.settings, self.places)))
        super().start()
        until(lambda: self.has_routes() or not self.is_running, 20, "Traefik")
        assert self.is_running, self.text()

    def put(self) -> bool:
        """What the service `certificate` does, once."""
        return placing.put(self.settings, now())

    def has_routes(self) -> bool:
        """Whether it has read them."""
        return self.status(self.settings.host) not in (0, 404)

    def status(self, host: str) -> int:
        """What it answers to who asks for this name and takes any certificate; 0 if it does not."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", self.settings.tls.port, timeout=5, context=context)
        try:
            client.request("GET", "/", headers={"Host": host})
            return client.getresponse().status
        except OSError:
            return 0
        finally:
            client.close()

    def numbers(self) -> str:
        """What it tells Prometheus."""
        return requests.get(f"http://127.0.0.1:{tls_config.monitor_port(self.settings)}/metrics", timeout=5).text

    @property
    def url(self) -> str:
        """Where people go."""
        return login.public_url(self.settings)

    def browser(self) -> requests.Session:
        """Somebody with a browser."""
        return browser(self.authority)

    def get(self, path: str, **options) -> requests.Response:
        """The answer to somebody new; no redirect is followed."""
        with self.browser() as session:
            return session.get(self.url + path, timeout=10, allow_redirects=False, **options)

    def shown(self) -> served.Served:
        """The certificate that browsers are shown."""
        return served.look(self.settings, now())

    def socket(self, host: str, path: str, **options) -> websocket.WebSocket:
        """An open websocket."""
        wanted = {"ca_certs": str(self.authority), "server_hostname": host}
        port = self.settings.tls.port
        return websocket.create_connection(f"wss://127.0.0.1:{port}{path}", host=f"{host}:{port}", timeout=20,
                                           sslopt={**wanted, "check_hostname": False}, **options)  # fmt: skip

    def logged(self) -> list[dict]:
        """Its access log."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]


def authority(folder: Path, host: str = HOST) -> pair.Pair:
    """An authority of the test's own; its certificate is `authority.pem` in the folder."""
    return own.authority(folder, host, now())


def write_pair(folder: Path, made: pair.Pair) -> dict[str, str]:
    """`certificate` and `key` for `tls` in the settings, put where they were, as a keeper would."""
    (folder / "cert.pem").write_text(made.chain_pem())
    (folder / "key.pem").write_text(made.key_pem())
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


@contextmanager
def running(settings: Settings, authority: Path, **more) -> Iterator[Traefik]:
    """A Traefik that answers; gone afterwards."""
    traefik = Traefik(settings, authority, **more)
    try:
        traefik.start()
        yield traefik
    finally:
        traefik.stop(5)
        print(traefik.text()[-3000:])  # shown if something failed
