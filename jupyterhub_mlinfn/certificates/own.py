"""An authority of our own for a closed network, and the certificate that it issues.

People put the authority's certificate into their browsers once. It is good for this service's names alone, so whoever
gets hold of its key cannot pretend to be anybody else; and what it issues is renewed without them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .. import files
from ..errors import OperatorError
from .pair import Pair, covers, read

AUTHORITY = "authority.pem"
KEY = "authority.key"
AUTHORITY_LASTS, LASTS, RENEWED_BEFORE = timedelta(days=3650), timedelta(days=365), timedelta(days=60)
EARLIER = timedelta(hours=1)
"""A clock that is a little slow does not turn anybody away."""


def authority(folder: Path, host: str, now: datetime) -> Pair:
    """The authority in the folder; made if there is none. Raises OperatorError if it is for another name."""
    certificate, key = folder / AUTHORITY, folder / KEY
    if not certificate.is_file():
        made = _authority(host, now)
        files.replace(key, made.key_pem())
        files.replace(certificate, made.chain_pem(), mode=0o644)
    there = read(certificate, key)
    if _permitted(there.own) != _permission(host):
        raise OperatorError(f"The authority in {folder} is for another name than {host}. Remove what is in the folder, "
                            "run `mlinfn up`, and give people the new one.")
    return there


def issued(by: Pair, names: Sequence[str], now: datetime) -> Pair:
    """A new certificate for the names."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
    builder = _builder(names[0], by.own.subject, key, (now, LASTS)).add_extension(alternatives, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()),
                                    critical=False)  # fmt: skip
    return Pair((builder.sign(by.key, hashes.SHA256()), by.own), key)


def is_good(there: Pair, by: Pair, names: Sequence[str], now: datetime) -> bool:
    """True if nothing has to be issued yet."""
    lasts = there.own.not_valid_after_utc - now > RENEWED_BEFORE
    return lasts and _is_of(there.own, by.own) and all(covers(there.own, name) for name in names)


def _is_of(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """True if this authority has signed it. Another one for the same host has the same name."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def _authority(host: str, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"The authority of {host}"[:64])])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _builder(f"The authority of {host}", own_name, key, (now, AUTHORITY_LASTS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.NameConstraints(_permission(host), None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Pair((builder.sign(key, hashes.SHA256()),), key)


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, times: tuple[datetime, timedelta]
             ) -> x509.CertificateBuilder:  # fmt: skip
    begins, lasts = times
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(begins - EARLIER)
            .not_valid_after(begins + lasts).add_extension(identifier, critical=False))  # fmt: skip


def _permission(host: str) -> list[x509.GeneralName]:
    """The host and all below it; of an address, itself alone."""
    try:
        return [x509.IPAddress(ipaddress.ip_network(host))]
    except ValueError:
        return [x509.DNSName(host)]


def _permitted(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ())
    except x509.ExtensionNotFound:
        return []


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
