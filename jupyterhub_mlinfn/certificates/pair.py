"""A certificate and its key: read from files, and judged. What is wrong with them is said in a sentence."""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ..errors import OperatorError

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A certificate, what stands behind it in its file, and its key."""

    chain: tuple[x509.Certificate, ...]
    key: Any

    @property
    def own(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    def pem(self) -> str:
        """All of it in one text, the key last."""
        return self.chain_pem() + self.key_pem()

    def chain_pem(self) -> str:
        """What everybody may see of it."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain).decode()

    def key_pem(self) -> str:
        """What nobody else may."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def read(certificate: Path, key: Path) -> Pair:
    """What is in the files. Raises OperatorError if they are not a certificate and its key."""
    found = Pair(_chain(certificate), _key(key))
    if found.own.public_key() == found.key.public_key():
        return found
    if any(each.public_key() == found.key.public_key() for each in found.chain):
        raise OperatorError(f"{certificate} begins with another certificate than that of the key {key}. Put your own "
                            "first, and what stands between it and its authority after it.")
    raise OperatorError(f"{key} is not the key of the certificate in {certificate}, but of another one.")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise OperatorError(f"{path} is not there. `tls` in the settings names it.") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from error


def _chain(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_bytes(path)))
    except ValueError as error:
        said = f"{path} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----."
        raise OperatorError(said) from error


def _key(path: Path) -> Any:
    data = _bytes(path)
    try:
        return load_pem_private_key(data, password=None)
    except TypeError as error:
        raise OperatorError(f"{path} is closed with a password, which nobody could type when the machine starts. Take "
                            f"it off: openssl pkey -in {path} -out OTHER-FILE") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"{path} holds no key in PEM, such as begins with -----BEGIN PRIVATE KEY-----.") from error


def check(pair: Pair, names: Sequence[str], now: datetime, known: Sequence[x509.Certificate]) -> None:
    """Nothing, if browsers will take it. Raises OperatorError. `known` are the authorities that this machine knows."""
    own = pair.own
    if own.not_valid_after_utc <= now:
        raise OperatorError(f"The certificate of {shown(own)} ended on {own.not_valid_after_utc:%Y-%m-%d}. Get a new "
                            "one and put it in its place.")
    if own.not_valid_before_utc > now:
        raise OperatorError(f"The certificate of {shown(own)} begins only on {own.not_valid_before_utc:%Y-%m-%d %H:%M} "
                            "UTC. If that is past, this machine's clock is wrong.")
    if missing := [name for name in names if not covers(own, name)]:
        raise OperatorError(f"The certificate is for {shown(own)}, and not for {', '.join(missing)}. "
                            f"{_advice(missing)}")
    if lost := _lost(pair.chain, known):
        raise OperatorError(f"The certificate of {shown(own)} comes without that of {lost}, who issued it, and "
                            "browsers do not take it alone. Append it to the file, with what stands behind it.")


def _advice(missing: Sequence[str]) -> str:
    if any(name.startswith("*.") for name in missing):
        return "Labs live on subdomains: have that name put into it, or write `subdomains: false`."
    return "Have one issued for it, or write the name that people type as `host`."


def named(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that it is for."""
    try:
        there = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = there.get_values_for_type(x509.IPAddress)
    return (*(name.lower() for name in there.get_values_for_type(x509.DNSName)), *map(str, addresses))


def shown(certificate: x509.Certificate) -> str:
    """Whose it is, for people."""
    return ", ".join(named(certificate)) or certificate.subject.rfc4514_string() or "nobody"


def covers(certificate: x509.Certificate, name: str) -> bool:
    """True if it is for this name, which may be a wildcard, or for a wildcard that the name falls under."""
    theirs = named(certificate)
    return name in theirs or (not _is_address(name) and f"*.{name.partition('.')[2]}" in theirs)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _lost(chain: Sequence[x509.Certificate], known: Sequence[x509.Certificate]) -> str:
    """Who issued the last certificate that can be followed from the first, if nobody here knows them; else empty."""
    here = chain[0]
    for _ in chain:
        if _issued(here, here) or any(_issued(here, each) for each in known):
            return ""
        above = next((each for each in chain if each != here and _issued(here, each)), None)
        if above is None:
            break
        here = above
    return here.issuer.rfc4514_string()


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def authorities() -> tuple[x509.Certificate, ...]:
    """Those that this machine knows. One that cannot be read is left out, and one that is odd is nobody's business."""
    text, found = BUNDLE.read_text(errors="replace") if BUNDLE.is_file() else "", []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in BLOCK.findall(text):
            with suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(block.encode()))
    return tuple(found)
