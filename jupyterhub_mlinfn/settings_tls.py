"""The section `tls` of mlinfn.yaml: how others than this machine reach the service, and with which certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .hosts import is_address, is_of_this_machine
from .settings_types import Clashes, Duration, Model, Slug, text_like
from .settings_words import Words

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HTTPS, HTTP = 443, 80
Directory = text_like(r"^https://[^\s/?#@]+(/[^\s?#]*)?$", "an address such as https://acme.example.org/directory")
NameServer = text_like(r"^[0-9A-Za-z.\[\]:-]+:\d+$", "a name server with its port, such as 192.0.2.53:53")
PEM = Annotated[Path, Words("an absolute path of a file in PEM, such as /etc/ssl/hub/cert.pem")]
Port = Annotated[int, Field(ge=1, le=65535)]


class ACME(Model):
    directory: Directory = LETS_ENCRYPT
    """Address of the ACME server: Let's Encrypt's, or that of your institute."""
    email: str = ""
    """Where it writes when something is wrong with your certificates."""
    challenge: Literal["http", "dns"] = "http"
    """How you show that the name is yours. http: it asks on port 80. dns: by a record, which subdomains need."""
    provider: Slug | Literal[""] = ""
    """Who keeps your records, by the name that lego has for it, with `challenge: dns`. What it wants to know is in
    secrets/traefik/dns.env below `root`."""
    resolvers: tuple[NameServer, ...] = ()
    """Name servers that are asked whether the record is there. Empty: those that the zone itself names."""
    account: str = ""
    """Key id of an external account, where the server wants one. Its HMAC is in secrets/traefik/eab_hmac."""

    def clashes(self) -> Clashes:
        if self.challenge == "dns" and not self.provider:
            yield ("provider",), "is missing, and `challenge: dns` needs it, such as rfc2136 or cloudflare."


class TLS(Model):
    mode: Literal["none", "acme", "files", "self-signed"] = "none"
    """Where the certificate comes from. none: only this machine reaches the service. acme: Let's Encrypt or your
    institute. files: you have one. self-signed: an authority of our own, for a closed network."""
    certificate: PEM | None = None
    """Your certificate, followed by those between it and its authority, with `mode: files`."""
    key: PEM | None = None
    """Its key, without a password. Both are read again whenever they change."""
    acme: ACME = ACME()
    """Who issues the certificate, with `mode: acme`."""
    hsts: Duration | None = "180d"
    """For how long browsers insist on TLS once they were here. Empty: they do not. Never sent when self-signed."""
    port: Port = HTTPS
    """Where people come in."""
    http_port: Port | None = HTTP
    """Where people who forgot the s are sent on, and where `challenge: http` is answered. Empty: nothing is there."""
    logins: int = Field(30, ge=1)
    """Logins within a minute from one address, before others there have to wait."""
    plain_http: Annotated[Literal["", "accepted"], Words("the word accepted, or nothing")] = ""
    """The word accepted: with `mode: none`, everybody reaches the service, and everybody on the way can read along."""

    def clashes(self) -> Clashes:
        for name, other in (("certificate", "key"), ("key", "certificate")):
            if getattr(self, name) is None and (self.mode == "files" or getattr(self, other) is not None):
                yield (name,), "is missing. `mode: files` takes a certificate and its key."
            elif (path := getattr(self, name)) and (not path.is_absolute() or len(path.parts) < 4):
                yield (name,), f"this is {path}, but it has to be an absolute path, in a folder below /etc or the like."
        if self.mode == "acme" and self.acme.challenge == "http" and self.http_port is None:
            yield ("http_port",), "is empty, and `challenge: http` is answered there. Write 80."
        if self.port == self.http_port:
            yield ("http_port",), f"{self.port} is `port` already. Take another."
        if self.plain_http and self.mode != "none":
            yield ("plain_http",), f"says that there is no TLS, and `mode` is {self.mode}. Remove one of them."

    @property
    def is_on(self) -> bool:
        """True if people come in by https."""
        return self.mode != "none"

    @property
    def ports(self) -> tuple[int, ...]:
        """Those on which people come in, none without TLS."""
        return tuple(port for port in (self.port, self.http_port) if port) if self.is_on else ()


def tls_clashes(tls: TLS, host: str, has_subdomains: bool, login: str, ports: range) -> Clashes:
    """What does not go with the rest of the settings. `ports` are those of the instance."""
    if login == "demo" and (tls.is_on or tls.plain_http):
        yield ("login",), "the demo is for this machine alone, so `tls` has to be left out. Choose another `login`."
    elif not (tls.is_on or tls.plain_http or login == "demo" or is_of_this_machine(host)):
        yield ("tls", "mode"), (
            f"is none, and {host} is a name for others, whose passwords would cross the network for all to read. Write "
            "acme, files or self-signed, or write `tls: {plain_http: accepted}` if you want that.")  # fmt: skip
    yield from _acme_clashes(tls, host, has_subdomains)
    for name in ("port", "http_port"):
        if tls.is_on and getattr(tls, name) in ports:
            yield ("tls", name), f"{getattr(tls, name)} is one of the instance's own, {ports[0]} to {ports[-1]}."


def _acme_clashes(tls: TLS, host: str, has_subdomains: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if tls.mode != "acme":
        return
    if is_of_this_machine(host) or is_address(host):
        yield ("host",), f"nobody issues a certificate for {host}. Write the name that people type."
    if has_subdomains and tls.acme.challenge == "http":
        yield ("tls", "acme", "challenge"), (
            f"with http there is no certificate for *.{host}, where labs live. Write dns, or `subdomains: false`.")
