"""How people log in, from the settings: a password each, INDIGO IAM, or the demo identity service beside the hub."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from .errors import OperatorError
from .rooms import rooms_of
from .settings import DEMO_GROUP, Settings, seconds_of
from .settings_tls import HTTPS

LISTEN = "0A"  # the state in /proc/net/tcp
CLIENT_FILES = ("iam_client_id", "iam_client_secret")
DEMO_PATH = "/demo-iam"
DEMO_CLIENT = "mlinfn"
DEMO_KEEPERS = "demo/keepers"


def public_url(settings: Settings) -> str:
    """Where people go."""
    if not settings.tls.is_on:
        return f"http://{settings.host}:{settings.port}"
    return f"https://{settings.host}" + ("" if settings.tls.port == HTTPS else f":{settings.tls.port}")


def callback_url(settings: Settings) -> str:
    """Where the identity service sends people back to: the redirect URI of the client."""
    return f"{public_url(settings)}/hub/oauth_callback"


def issuer(settings: Settings) -> str:
    """Address of the identity service, empty with `login: local`."""
    if settings.login == "demo":
        return public_url(settings) + DEMO_PATH
    return (settings.iam.issuer or "") if settings.login == "iam" else ""


def demo_port(settings: Settings) -> int:
    """Where the demo identity service listens, on loopback."""
    return settings.port + 4


def client(settings: Settings) -> tuple[str, str]:
    """Id and secret of our client at the identity service. Raises OperatorError where one is not there."""
    check_client(settings)
    client_id = DEMO_CLIENT if settings.login == "demo" else secret(settings, "iam_client_id")
    return client_id, secret(settings, client_secret_name(settings))


def client_secret_name(settings: Settings) -> str:
    """Name of the client's secret among the hub's secrets."""
    return "demo_client_secret" if settings.login == "demo" else "iam_client_secret"


def check_client(settings: Settings) -> None:
    """Nothing, if the client that `login: iam` needs was given. Raises OperatorError."""
    if settings.login == "iam" and not has_client(settings):
        raise OperatorError("`login: iam` needs the id and the secret of a client that is registered at "
                            f"{settings.iam.issuer}, with the redirect URI {callback_url(settings)}. "
                            "Once you have them: mlinfn iam client ID")  # fmt: skip


def has_client(settings: Settings) -> bool:
    """True if `mlinfn iam client` was given an id and a secret."""
    folder = settings.root / "secrets" / "hub"
    return all((folder / name).is_file() and (folder / name).stat().st_size for name in CLIENT_FILES)


def secret(settings: Settings, name: str) -> str:
    """One of the hub's secrets. Raises OperatorError if it is not there."""
    path = settings.root / "secrets" / "hub" / name
    try:
        return path.read_text().strip()
    except OSError as error:
        raise OperatorError(f"The secret {path} cannot be read: {error.strerror}. Run `mlinfn up`.") from error


def check(settings: Settings, net: Path = Path("/proc/net")) -> None:
    """Nothing, if people may log in this way.

    Raises OperatorError if the demo would be reached from elsewhere, or let made-up people in beside real ones; and if
    passwords would cross the network for all to read, though nobody wrote that they may.
    """
    if settings.login != "demo":
        _check_plain(settings, net)
        return
    if settings.iam.issuer and has_client(settings):
        raise OperatorError(
            f"`login: demo` lets made-up people in, and the client of {settings.iam.issuer} is set up: one or the "
            "other. Write `login: iam`, or take `iam: issuer:` out of the settings.")  # fmt: skip
    if others := open_addresses(settings.port, net):
        raise OperatorError(
            f"`login: demo` is for this machine alone, and something listens on {', '.join(others)}, which others "
            f"reach. Stop it (sudo ss -ltnp 'sport = :{settings.port}'), or log people in by `login: iam` or "
            "`login: local`.")  # fmt: skip


def _check_plain(settings: Settings, net: Path) -> None:
    others = [] if settings.tls.plain_http else open_addresses(settings.port, net)
    if others:
        raise OperatorError(
            f"Something listens on {', '.join(others)}, which others reach without TLS: everybody on the way reads "
            f"passwords. Stop it (sudo ss -ltnp 'sport = :{settings.port}'), set up `tls`, or write `tls: "
            "{plain_http: accepted}` into the settings.")  # fmt: skip


def open_addresses(port: int, net: Path = Path("/proc/net")) -> list[str]:
    """ADDRESS:PORT of what listens on the port and is not on loopback."""
    rows = [line.split() for name in ("tcp", "tcp6") if (net / name).exists()
            for line in (net / name).read_text().splitlines()[1:]]  # fmt: skip
    ends = {row[1] for row in rows if row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port}
    found = sorted((_address(end.rpartition(":")[0]) for end in ends), key=str)
    return [f"[{each}]:{port}" if each.version == 6 else f"{each}:{port}" for each in found if not each.is_loopback]


def _address(words: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that the kernel writes as words of 32 bits, each with its bytes from the last to the first."""
    whole = b"".join(bytes.fromhex(words[start:start + 8])[::-1] for start in range(0, len(words), 8))
    address = ipaddress.ip_address(whole)
    return getattr(address, "ipv4_mapped", None) or address


def configure(c: Any, settings: Settings) -> None:
    """Sets the traits that decide who logs in and how. Raises OperatorError if a secret is missing."""
    rooms = rooms_of(settings)
    c.Authenticator.blocked_users = {room.name for room in rooms}  # else a newcomer could take the name of a room
    accounts = {room.account for room in rooms}
    if settings.login == "local":
        c.JupyterHub.authenticator_class = "mlinfn-local"
        c.LocalAuthenticator.without_identity = accounts
        c.LocalAuthenticator.passwords = f"{settings.root}/hub/passwords.json"
        return
    c.JupyterHub.authenticator_class = "indigo-iam"
    c.IAMAuthenticator.without_identity = accounts
    c.CryptKeeper.keys = [secret(settings, "crypt_key")]
    _service(c, settings)
    _rules(c, settings)
    if settings.login == "demo":
        _demo_route(c, settings)


def _service(c: Any, settings: Settings) -> None:
    check_client(settings)
    ours = c.IAMAuthenticator
    ours.issuer = issuer(settings)
    folder = settings.root / "secrets" / "hub"
    if settings.login == "demo":
        ours.client_id, ours.login_service = DEMO_CLIENT, "the demo identity service"
    else:
        ours.client_id_file = str(folder / CLIENT_FILES[0])
    ours.client_secret_file = str(folder / client_secret_name(settings))
    ours.oauth_callback_url = callback_url(settings)
    ours.scope = list(settings.iam.scopes)
    ours.identity_book = f"{settings.root}/hub/identity.sqlite"
    ours.refresh_s = seconds_of(settings.iam.refresh)
    ours.contact = settings.contact


def _rules(c: Any, settings: Settings) -> None:
    ours = c.IAMAuthenticator
    if settings.login == "demo":
        ours.allowed_groups, ours.admin_groups = {DEMO_GROUP}, {DEMO_KEEPERS}
        return
    ours.allowed_groups, ours.admin_groups = set(settings.iam.allowed_groups), set(settings.iam.admin_groups)
    ours.owner_subject = settings.iam.owner_subject or ""


def _demo_route(c: Any, settings: Settings) -> None:
    """The demo is reached through the public port, so one SSH tunnel is enough; the hub keeps this route there."""
    host = settings.host if settings.subdomains else ""
    c.ConfigurableHTTPProxy.extra_routes = {f"{host}{DEMO_PATH}/": f"http://127.0.0.1:{demo_port(settings)}"}
