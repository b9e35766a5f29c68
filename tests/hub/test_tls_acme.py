"""A certificate from a real ACME server, by both challenges, with nothing of it on the internet."""

from __future__ import annotations

import re

import pytest
from support import acme
from support.places import CHECKOUT, free_ports
from support.traefik import HOST, PROGRAM, running
from support.wait import until

from jupyterhub_mlinfn.certificates import own
from jupyterhub_mlinfn.settings import Settings

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
SCRIPT = CHECKOUT / "images/traefik/mlinfn-traefik"


def settings_of(folder, institute: acme.Institute, **more) -> Settings:
    """Settings of a site that has its certificates from there."""
    port = institute.http_port
    subdomains = more.pop("subdomains")
    told = {"directory": institute.directory, "email": "keeper@example.org", **more}
    return Settings(root=folder / "root", host=HOST, port=free_ports(), subdomains=subdomains,
                    tls={"mode": "acme", "port": port + 1, "http_port": port, "acme": told})  # fmt: skip


def test_by_http_it_comes_for_the_name_alone(tmp_path):
    port = free_ports()
    with acme.running(tmp_path, port) as institute:
        settings = settings_of(tmp_path, institute, challenge="http", subdomains=False)
        there = {"SSL_CERT_FILE": str(institute.trusted)}
        with running(settings, tmp_path / own.AUTHORITY, environment=there) as traefik:
            shown = until(lambda: traefik.shown().ends and traefik.shown(), 30, "the certificate", every_s=0.2)
            assert (shown.names, shown.trouble) == ((HOST,), "")
            assert traefik.get("/").status_code == 502, "the name is known, and nobody is behind it"
            assert "traefik_tls_certs_not_after" in traefik.numbers()


def test_by_dns_it_comes_for_subdomains_with_what_the_provider_wants_from_a_file(tmp_path):
    port = free_ports()
    with acme.running(tmp_path, port) as institute:
        server = f"{institute.names.host}:53"
        settings = settings_of(tmp_path, institute, challenge="dns", provider="rfc2136", resolvers=[server],
                               subdomains=True)  # fmt: skip
        lines = {"RFC2136_NAMESERVER": server, "RFC2136_SEQUENCE_INTERVAL": "1", "RFC2136_POLLING_INTERVAL": "1"}
        (tmp_path / "dns.env").write_text("# ours\n" + "".join(f"{name}={value}\n" for name, value in lines.items()))
        there = {"MLINFN_DNS_FILE": str(tmp_path / "dns.env"), "MLINFN_TRAEFIK": str(PROGRAM),
                 "SSL_CERT_FILE": str(institute.trusted)}  # fmt: skip
        with running(settings, tmp_path / own.AUTHORITY, environment=there, program=SCRIPT) as traefik:
            shown = until(lambda: traefik.shown().ends and traefik.shown(), 30, "the certificate", every_s=0.2)
            assert (set(shown.names), shown.trouble) == ({HOST, f"*.{HOST}"}, "")
            with traefik.browser() as somebody:
                assert somebody.get(f"https://anna.{HOST}:{settings.tls.port}/").status_code == 502
            assert len(institute.names.ever) == 2
            assert not re.search("ERR", traefik.text())
