"""Certificates that are not good are said in a clear sentence, those that are good are put in place."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from jupyterhub_mlinfn import certificates
from jupyterhub_mlinfn.certificates import own, pair, placing, served
from jupyterhub_mlinfn.certificates.keeper import Keeper
from jupyterhub_mlinfn.cli import ground, tls_finding, tls_service
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings

HOST = "hub.example.org"
NAMES = (HOST, f"*.{HOST}")
NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.fixture
def authority(tmp_path) -> pair.Pair:
    """An authority that nobody knows."""
    (tmp_path / "authority").mkdir()
    return own.authority(tmp_path / "authority", HOST, NOW)


def written(folder: Path, made: pair.Pair, *, key: str = "", chain: int = 9) -> Settings:
    """Settings that name the pair's files, with another key, or with so many certificates only."""
    (folder / "cert.pem").write_text(pair.Pair(made.chain[:chain], made.key).chain_pem())
    (folder / "key.pem").write_text(key or made.key_pem())
    files = {"mode": "files", "certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    return Settings(root=folder / "root", host=HOST, tls=files)


def test_a_good_one_is_good(tmp_path, authority):
    made = own.issued(authority, NAMES, NOW)
    assert placing.given(written(tmp_path, made), NOW).pem() == made.pem()


def test_of_an_authority_that_this_machine_knows_it_needs_nothing_else(tmp_path, authority):
    made = own.issued(authority, NAMES, NOW)
    found = pair.Pair(made.chain[:1], made.key)
    pair.check(found, NAMES, NOW, authority.chain)
    with pytest.raises(OperatorError, match=r"comes without that of CN=The authority of hub\.example\.org"):
        pair.check(found, NAMES, NOW, pair.authorities())


@pytest.mark.parametrize(("names", "when", "said"), [
    (NAMES, NOW + timedelta(days=366), r"ended on 2026-11-2\d|ended on 2027"),
    (NAMES, NOW - timedelta(days=1), "begins only on .* clock is wrong"),
    ((f"a.{HOST}",), NOW, r"not for hub.example.org, \*.hub.example.org"),
    ((HOST,), NOW, r"and not for \*.hub.example.org. Labs live on subdomains"),
])  # fmt: skip
def test_ended_early_or_of_another_name_is_said(tmp_path, authority, names, when, said):
    with pytest.raises(OperatorError, match=said):
        placing.given(written(tmp_path, own.issued(authority, names, NOW)), when)


def closed(key) -> str:
    """A key with a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()


def test_what_is_in_the_files_has_to_be_a_pair(tmp_path, authority):
    made, other = own.issued(authority, NAMES, NOW), own.issued(authority, NAMES, NOW)
    for key, said in ((other.key_pem(), "is not the key of the certificate"), (closed(made.key), "with a password"),
                      ("nothing", "holds no key in PEM")):  # fmt: skip
        with pytest.raises(OperatorError, match=said):
            placing.given(written(tmp_path, made, key=key), NOW)
    turned = pair.Pair(made.chain[::-1], made.key)
    with pytest.raises(OperatorError, match="begins with another certificate"):
        placing.given(written(tmp_path, turned), NOW)
    with pytest.raises(OperatorError, match="comes without that of"):
        placing.given(written(tmp_path, made, chain=1), NOW)


def test_files_that_are_not_there_or_hold_nothing_are_named(tmp_path, authority):
    settings = written(tmp_path, own.issued(authority, NAMES, NOW))
    settings.tls.certificate.write_text("nothing")
    with pytest.raises(OperatorError, match="holds no certificate in PEM"):
        placing.given(settings, NOW)
    settings.tls.key.unlink()
    settings.tls.certificate.unlink()
    with pytest.raises(OperatorError, match="is not there"):
        placing.given(settings, NOW)
    settings.tls.certificate.mkdir()
    with pytest.raises(OperatorError, match="cannot be read: Is a directory"):
        placing.given(settings, NOW)


def test_a_wrong_one_leaves_what_is_in_use_and_is_said_once(tmp_path, authority, capsys):
    settings = written(tmp_path, own.issued(authority, NAMES, datetime.now(timezone.utc)))
    path = certificates.dynamic(settings.root) / certificates.SERVED
    path.parent.mkdir(parents=True)
    keeper = Keeper(settings)
    keeper.look(datetime.now(timezone.utc))
    before = path.read_text()
    settings.tls.key.write_text(own.issued(authority, NAMES, NOW).key_pem())
    for _ in range(2):
        keeper.look(datetime.now(timezone.utc))
    assert path.read_text() == before
    assert capsys.readouterr().out.count("was not taken; the one before goes on.") == 1
    assert "mlinfn_certificate_refused 1.0" in keeper.answer("/metrics")[1]


def test_before_anything_starts_a_wrong_one_is_refused(tmp_path, authority):
    settings = written(tmp_path, own.issued(authority, NAMES, NOW), key=own.issued(authority, NAMES, NOW).key_pem())
    tls = json.dumps(settings.model_dump(mode="json")["tls"])
    site = Site(tmp_path / "mlinfn.yaml")
    site.config.write_text(f"root: {tmp_path}/root\nhost: {HOST}\ntls: {tls}\nhost_images: [a]\n")
    with pytest.raises(OperatorError, match="is not the key of the certificate"):
        ground.prepare(site, fstab=tmp_path / "fstab")
    assert not site.env_file.exists()
    assert not (certificates.dynamic(settings.root) / certificates.SERVED).exists()


def test_a_certificate_of_another_authority_for_the_same_host_is_made_anew(authority, tmp_path):
    (tmp_path / "other").mkdir()
    made, other = own.issued(authority, NAMES, NOW), own.authority(tmp_path / "other", HOST, NOW)
    assert own.is_good(made, authority, NAMES, NOW)
    assert not own.is_good(made, other, NAMES, NOW), "browsers know the other one"


def test_a_key_of_somebody_elses_is_refused_because_the_service_could_not_read_it(tmp_path, authority):
    settings = written(tmp_path, own.issued(authority, NAMES, datetime.now(timezone.utc)))
    ground.folders(settings.root)
    os.chown(settings.tls.key, 70001, 70001)
    settings.tls.key.chmod(0o600)
    with pytest.raises(OperatorError, match="sudo chown root"):
        tls_service.ground(settings)
    os.chown(settings.tls.key, 0, 0)
    assert tls_service.ground(settings)


def test_our_own_is_made_once_and_renewed_before_it_ends(tmp_path):
    ground.folders(tmp_path)
    settings = Settings(root=tmp_path, host=HOST, tls={"mode": "self-signed"})
    assert tls_service.ground(settings)
    path = certificates.dynamic(tmp_path) / certificates.SERVED
    first, root = path.read_text(), (certificates.authority(tmp_path) / own.AUTHORITY).read_text()
    assert (path.stat().st_gid, path.stat().st_mode & 0o777) == (tls_service.UID, 0o640)
    assert tls_service.ground(settings) == []
    assert placing.put(settings, datetime.now(timezone.utc) + own.LASTS - own.RENEWED_BEFORE)
    assert path.read_text() != first
    assert (certificates.authority(tmp_path) / own.AUTHORITY).read_text() == root, "people have this one"
    with pytest.raises(OperatorError, match=r"for another name than b\.example\.org"):
        placing.put(settings.model_copy(update={"host": "b.example.org"}), NOW)


@pytest.mark.parametrize(("host", "names"), [
    ("192.0.2.7", ("192.0.2.7",)), ("localhost", ("localhost", "*.localhost"))])  # fmt: skip
def test_our_own_is_for_addresses_as_well(tmp_path, host, names):
    made = own.issued(own.authority(tmp_path, host, NOW), names, NOW)
    pair.check(made, names, NOW, ())
    assert set(pair.named(made.own)) == set(names)


def test_a_certificate_without_names_is_shown_by_its_subject(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    old = pair.Pair((builder.sign(key, hashes.SHA256()),), key)
    with pytest.raises(OperatorError, match=r"is for CN=old, and not for hub\.example\.org"):
        pair.check(old, (HOST,), NOW, ())


def test_nobody_answers(free_port):
    seen = served.look(Settings(host=HOST, tls={"mode": "self-signed", "port": free_port}), NOW)
    assert seen.trouble.startswith(f"Nothing answers by TLS on port {free_port}")


SEEN = tls_finding.Seen(NAMES, NOW + timedelta(days=61), now=NOW)
SIGNED = Settings(host=HOST, tls={"mode": "self-signed"})
FILES = Settings(host=HOST, tls={"mode": "files", "certificate": "/etc/ssl/hub/c.pem", "key": "/etc/ssl/hub/k.pem"})


@pytest.mark.parametrize(("settings", "seen", "level", "said"), [
    (Settings(), tls_finding.Seen(), "green", "only this machine"),
    (Settings(host=HOST, tls={"plain_http": "accepted"}), tls_finding.Seen(), "amber", "reads passwords"),
    (SIGNED, SEEN, "green", "hub.example.org, *.hub.example.org: 61 days left, until 2027-01-25."),
    (SIGNED, tls_finding.Seen(NAMES, NOW + timedelta(days=13), now=NOW), "amber", "13 days left"),
    (SIGNED, tls_finding.Seen(trouble="There is none yet."), "red", "There is none yet."),
    (FILES, tls_finding.Seen(NAMES, SEEN.ends, "", "It is not good.", NOW), "amber", "not taken: It is not good."),
    (FILES, tls_finding.Seen(NAMES, NOW, "It ended on 2026-11-25.", "x.", NOW), "red", "without a warning. It ended"),
])  # fmt: skip
def test_status_says_how_it_is(settings, seen, level, said):
    found = tls_finding.finding(settings, seen)
    assert (found.title, found.level) == ("Certificate", level)
    assert said in found.reason
    assert bool(found.remedy) == (level != "green")
