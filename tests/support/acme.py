"""An institute with an ACME server and a name server of its own, both on loopback."""

from __future__ import annotations

import json
import random
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import requests

from jupyterhub_mlinfn.certificates import own
from support.places import free_ports
from support.process import Program
from support.traefik import HOST, authority, now
from support.wait import until

ADDRESS = "127.0.0.1"
CONFIG = """
[DEFAULT]
debug: False
dns_server_list: {dns}
[Nonce]
nonce_check_disable: False
[DBhandler]
handler: wsgi
dbfile: {folder}/acme.db
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/authority.key
issuing_ca_cert: {folder}/authority.pem
issuing_ca_crl: {folder}/authority.crl
cert_save_path: {folder}/issued
ca_cert_chain_list: []
cert_validity_days: 90
[Certificate]
revocation_reason_check_disable: False
[Challenge]
challenge_validation_disable: False
challenge_validation_timeout: 10
[Order]
tnauthlist_support: False
"""


class Names:
    """A name server with one zone: every name in it is an address of ours, and records may be put there (RFC 2136)."""

    def __init__(self, zone: str = HOST):
        self.zone = dns.name.from_text(zone)
        self.records: dict[dns.name.Name, set[str]] = {}
        self.ever: list[str] = []
        self.host = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        self.server = socketserver.ThreadingUDPServer((self.host, 53), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """It answers no more."""
        self.server.shutdown()
        self.server.server_close()

    def _handler(names) -> type[socketserver.BaseRequestHandler]:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, there = self.request
                there.sendto(names.answer(dns.message.from_wire(data)).to_wire(), self.client_address)

        return Handler

    def answer(self, asked: dns.message.Message) -> dns.message.Message:
        """To a question, or to an update."""
        said = dns.message.make_response(asked)
        said.flags |= dns.flags.AA
        if asked.opcode() == dns.opcode.UPDATE:
            self._update(asked)
            return said
        (question,) = asked.question
        if found := self._found(question.name, question.rdtype):
            said.answer.append(found)
        else:
            said.authority.append(self._origin())
        return said

    def _found(self, name: dns.name.Name, kind: int) -> dns.rrset.RRset | None:
        texts = self.records.get(name)
        if kind == dns.rdatatype.TXT and texts:
            return dns.rrset.from_text_list(name, 1, "IN", "TXT", sorted(f'"{text}"' for text in texts))
        if kind == dns.rdatatype.A:
            return dns.rrset.from_text(name, 1, "IN", "A", self.host)
        return self._origin() if kind == dns.rdatatype.SOA and name == self.zone else None

    def _origin(self) -> dns.rrset.RRset:
        return dns.rrset.from_text(self.zone, 1, "IN", "SOA", f"ns.{self.zone} keeper.{self.zone} 1 60 60 60 1")

    def _update(self, asked: dns.message.Message) -> None:
        for change in asked.update:
            texts = {text.decode() for each in change for text in each.strings}
            there = self.records.setdefault(change.name, set())
            if change.deleting:
                there -= texts or set(there)
            else:
                there |= texts
                self.ever += texts


def passing_on(port: int) -> type[BaseHTTPRequestHandler]:
    """What answers as another port does: ACME asks on port 80, which a test cannot have of all addresses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {"Host": self.headers["Host"]}
            there = requests.get(f"http://{ADDRESS}:{port}{self.path}", headers=asked, timeout=5)
            self.send_response(there.status_code)
            self.end_headers()
            self.wfile.write(there.content)

    return Handler


class Institute(Program):
    """The ACME server. What it asks on port 80, a port of the test's own answers."""

    def __init__(self, folder: Path, http_port: int):
        self.folder, self.port, self.http_port, self.names = folder, free_ports(), http_port, Names()
        authority(folder)
        (folder / "authority.crl").touch()
        (folder / "issued").mkdir()
        self.passing_on = ThreadingHTTPServer((self.names.host, 80), passing_on(http_port))
        threading.Thread(target=self.passing_on.serve_forever, daemon=True).start()
        text = CONFIG.format(folder=folder, dns=json.dumps([self.names.host]))
        (folder / "acme_srv.cfg").write_text(text)
        self.trusted = folder / "server" / own.AUTHORITY
        self.trusted.parent.mkdir()
        by = authority(self.trusted.parent, ADDRESS)
        (folder / "server.pem").write_text(own.issued(by, [ADDRESS], now()).pem())
        argv = [sys.executable, "-m", "support.acme_server", str(self.port), str(folder / "server.pem")]
        there = {"ACME_SRV_CONFIGFILE": str(folder / "acme_srv.cfg"), "PYTHONPATH": ":".join(sys.path)}
        super().__init__(argv, folder / "acme.log", there, folder)

    @property
    def directory(self) -> str:
        """Where it begins."""
        return f"https://{ADDRESS}:{self.port}/directory"

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        until(lambda: self._answers() or not self.is_running, 30, "the ACME server")
        assert self.is_running, self.text()

    def _answers(self) -> bool:
        try:
            return requests.get(self.directory, timeout=2, verify=str(self.trusted)).ok
        except requests.ConnectionError:
            return False


@contextmanager
def running(folder: Path, http_port: int) -> Iterator[Institute]:
    """An institute that answers; gone afterwards."""
    institute = Institute(folder, http_port)
    try:
        institute.start()
        yield institute
    finally:
        institute.stop(5)
        institute.names.close()
        institute.passing_on.shutdown()
        institute.passing_on.server_close()
        print(institute.text()[-3000:])  # shown if something failed
