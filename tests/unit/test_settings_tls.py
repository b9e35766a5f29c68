"""The section `tls`: what goes together, and what Traefik is told of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from traitlets.config import Config

from jupyterhub_mlinfn import hub, login
from jupyterhub_mlinfn.cli import ground, tls_config, tls_service
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings

HOST = "hub.example.org"
PLACES = tls_config.Places()
FILES = {"mode": "files", "certificate": "/etc/ssl/hub/cert.pem", "key": "/etc/ssl/hub/key.pem"}
BY_DNS = {"mode": "acme", "acme": {"challenge": "dns", "provider": "rfc2136", "email": "keeper@example.org"}}


@pytest.mark.parametrize(("tls", "more", "said"), [
    ({}, {}, "passwords would cross the network"),
    ({"mode": "files", "certificate": "/etc/ssl/hub/cert.pem"}, {}, "takes a certificate and its key"),
    ({"mode": "none", "key": "/etc/ssl/hub/key.pem", "plain_http": "accepted"}, {}, "takes a certificate and its key"),
    ({**FILES, "key": "key.pem"}, {}, "has to be an absolute path"),
    ({**FILES, "key": "/etc/key.pem"}, {}, "in a folder below /etc"),
    ({"mode": "acme"}, {}, "no certificate for *.hub.example.org"),
    ({"mode": "acme"}, {"host": "localhost", "subdomains": False}, "nobody issues a certificate for localhost"),
    ({"mode": "acme"}, {"host": "192.0.2.7", "subdomains": False}, "nobody issues a certificate for 192.0.2.7"),
    ({}, {"host": "127.example.org"}, "127.example.org is a name for others"),
    ({"mode": "acme", "http_port": None}, {"subdomains": False}, "Write 80"),
    ({"mode": "acme", "acme": {"challenge": "dns"}}, {}, "needs it, such as rfc2136"),
    ({"mode": "acme", "acme": {"directory": "http://acme.example.org/"}}, {}, ""),
    ({"mode": "self-signed", "plain_http": "accepted"}, {}, "says that there is no TLS"),
    ({"plain_http": "yes"}, {}, ""),
    ({"mode": "self-signed", "port": 80}, {}, "is `port` already"),
    ({"mode": "self-signed", "port": 8003}, {}, "one of the instance's own, 8000 to 8019"),
    ({"mode": "self-signed"}, {"login": "demo", "host": "localhost"}, "for this machine alone"),
    ({"plain_http": "accepted"}, {"login": "demo", "host": "localhost"}, "for this machine alone"),
], ids=lambda value: str(value)[:40])  # fmt: skip
def test_what_does_not_go_together_is_said(tls, more, said):
    with pytest.raises(ValidationError) as refused:
        Settings(**{"host": HOST, "tls": tls, **more})
    assert said in str(refused.value)


@pytest.mark.parametrize(("tls", "url"), [
    ({"plain_http": "accepted"}, f"http://{HOST}:8000"), (FILES, f"https://{HOST}"), (BY_DNS, f"https://{HOST}"),
    ({"mode": "self-signed", "port": 8443}, f"https://{HOST}:8443"),
])  # fmt: skip
def test_people_go_where_it_listens(tls, url):
    assert login.public_url(Settings(host=HOST, tls=tls)) == url


def listening(tmp_path, address: str):
    """A /proc/net in which something listens on port 8000 of an address."""
    row = f"   0: {address}:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 1 1 0 100 0 0 10 0\n"
    (tmp_path / "tcp").write_text("  sl  local_address rem_address   st ...\n" + row)
    return tmp_path


def test_without_the_word_nothing_may_listen_for_others_on_the_port(tmp_path):
    everywhere = listening(tmp_path, "00000000")
    for tls in ({}, {"mode": "self-signed"}):
        with pytest.raises(OperatorError, match="everybody on the way reads passwords"):
            login.check(Settings(tls=tls), everywhere)
    login.check(Settings(host=HOST, tls={"plain_http": "accepted"}), everywhere)
    login.check(Settings(), listening(tmp_path, "0100007F"))


def test_the_proxy_leaves_loopback_only_by_the_word():
    for tls, address in (({}, "127.0.0.1"), (FILES, "127.0.0.1"), ({"plain_http": "accepted"}, "0.0.0.0")):
        assert tls_service.variables(Settings(tls=tls))["MLINFN_PROXY_ADDRESS"] == address


def configured(tmp_path, **settings) -> Config:
    """What the hub of such a site is told."""
    (tmp_path / "secrets/hub").mkdir(parents=True)
    for name in ("proxy_token", "command_token"):
        (tmp_path / "secrets/hub" / name).write_text("a token")
    c = Config()
    quiet = {"root": tmp_path, "backup": {"targets": []}, "monitoring": {"enabled": False}}
    hub.configure(c, Settings(**quiet, **settings), tmp_path / "culler", tmp_path / "mlinfn.yaml")
    return c.JupyterHub


def test_the_hub_knows_its_address_and_keeps_cookies_for_tls(tmp_path):
    told = configured(tmp_path, host=HOST, tls={"mode": "self-signed"})
    assert (told.public_url, told.subdomain_host) == (f"https://{HOST}/", f"https://{HOST}")
    assert told.cookie_host_prefix_enabled
    assert told.tornado_settings["xsrf_cookie_kwargs"] == {"secure": True}
    assert told.tornado_settings["slow_spawn_timeout"] == 0.3
    assert told.bind_url == "http://127.0.0.1:8000"


def test_without_tls_the_hub_is_told_nothing_of_it(tmp_path):
    told = configured(tmp_path)
    assert told.subdomain_host == "http://localhost:8000"
    assert not {"public_url", "cookie_host_prefix_enabled"} & set(told)
    assert "xsrf_cookie_kwargs" not in told.tornado_settings


def test_acme_asks_for_the_names_that_people_use():
    settings = Settings(host=HOST, tls=BY_DNS)
    told = tls_config.routes(settings, PLACES)["http"]["routers"]
    assert {str(each["tls"]["domains"]) for each in told.values()} == {
        str([{"main": HOST, "sans": [f"*.{HOST}"]}])}  # fmt: skip
    acme = tls_config.static(settings, PLACES)["certificatesResolvers"]["acme"]["acme"]
    assert acme["dnsChallenge"] == {"provider": "rfc2136"}
    assert (acme["email"], acme["storage"]) == ("keeper@example.org", "/var/lib/traefik/acme.json")
    assert "eab" not in acme


def test_an_institutes_acme_may_want_an_account_and_a_name_server_of_its_own():
    acme = {**BY_DNS["acme"], "account": "kid-1", "resolvers": ["192.0.2.53:53"]}
    told = tls_config.static(Settings(host=HOST, tls={"mode": "acme", "acme": acme}), PLACES, "a-key")
    told = told["certificatesResolvers"]["acme"]["acme"]
    assert told["eab"] == {"kid": "kid-1", "hmacEncoded": "a-key"}
    assert told["dnsChallenge"]["resolvers"] == ["192.0.2.53:53"]


def test_what_acme_needs_is_asked_for_before_anything_starts(tmp_path):
    ground.folders(tmp_path)
    acme = {**BY_DNS["acme"], "account": "kid-1"}
    settings = Settings(root=tmp_path, host=HOST, tls={"mode": "acme", "acme": acme})
    with pytest.raises(OperatorError, match=r"dns.env is empty.*NAME=VALUE"):
        tls_service.ground(settings)
    folder = tmp_path / "secrets/traefik"
    (folder / "dns.env").write_text("RFC2136_NAMESERVER=192.0.2.53\n")
    with pytest.raises(OperatorError, match=r"eab_hmac is missing.*external account"):
        tls_service.ground(settings)
    (folder / "eab_hmac").write_text("a-key\n")
    assert tls_service.ground(settings)
    assert tls_service.ground(settings) == []
    assert "a-key" in (tmp_path / "tls/static/traefik.yaml").read_text()
    for path, uid in tls_service.secret_files(settings):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (uid, 0o600)


@pytest.mark.parametrize(("tls", "insists"), [
    (FILES, True), ({**FILES, "hsts": None}, False), ({"mode": "self-signed"}, False)])  # fmt: skip
def test_browsers_are_not_made_to_insist_on_a_certificate_that_they_may_not_know(tls, insists):
    told = tls_config.routes(Settings(host=HOST, tls=tls), PLACES)["http"]["middlewares"]["hsts"]["headers"]
    assert ("stsSeconds" in told) == insists


def test_the_sites_files_are_shown_to_the_one_service_that_reads_them(tmp_path):
    settings = Settings(host=HOST, tls={**FILES, "key": "/etc/ssl/private/hub.key"})
    part = tls_service._compose_part(settings)["services"]
    assert [volume["source"] for volume in part["certificate"]["volumes"]] == ["/etc/ssl/hub", "/etc/ssl/private"]
    assert all(volume["read_only"] for volume in part["certificate"]["volumes"])
    assert list(part) == ["certificate"]
