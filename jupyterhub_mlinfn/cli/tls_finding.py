"""How the certificate is that browsers are shown, for `mlinfn status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ..errors import OperatorError
from ..login import public_url
from ..settings import Settings, seconds_of
from .finding import Finding
from .output import counted

TITLE = "Certificate"
HOW = "docs/how-to/serve-with-tls.md"
LOGS = {"acme": "mlinfn logs traefik", "files": "mlinfn logs certificate", "self-signed": "mlinfn up"}
RENEW = {"acme": "mlinfn logs traefik", "files": "put a new one into the place of the files that `tls` names",
         "self-signed": "mlinfn logs certificate"}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What browsers are shown, and what the site's files hold."""

    names: tuple[str, ...] = ()
    ends: datetime | None = None
    trouble: str = ""
    """Why browsers do not take it; a sentence, empty if they do."""
    refused: str = ""
    """Why what the site's files hold now is not taken; sentences, empty if it is."""
    now: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)


def look(settings: Settings) -> Seen:
    """What is to be seen now; nothing without TLS."""
    if not settings.tls.is_on:
        return Seen()
    from ..certificates import placing, served

    now, refused = datetime.now(timezone.utc), ""
    shown = served.look(settings, now)
    if settings.tls.mode == "files":
        try:
            placing.given(settings, now)
        except OperatorError as error:
            refused = str(error)
    return Seen(shown.names, shown.ends, shown.trouble, refused, now)


def finding(settings: Settings, seen: Seen) -> Finding:
    """How it is, the worst first."""
    mode = settings.tls.mode
    if mode == "none":
        return _without(settings)
    if seen.trouble:
        return Finding("red", TITLE, f"Nobody comes in at {public_url(settings)} without a warning. {seen.trouble}"
                       f"{_why(seen)}", LOGS[mode])
    if seen.ends is None:
        return Finding("amber", TITLE, "Nobody has looked at it.", LOGS[mode])
    left = seen.ends - seen.now
    said = f"{', '.join(seen.names)}: {counted(left.days, 'day')} left, until {seen.ends:%Y-%m-%d}."
    if left < timedelta(seconds=seconds_of(settings.monitoring.thresholds.certificate)):
        return Finding("amber", TITLE, f"{said}{_why(seen)}", RENEW[mode])
    if seen.refused:
        return Finding("amber", TITLE, f"{said}{_why(seen)}", f"{RENEW[mode]}; {HOW}")
    return Finding("green", TITLE, said)


def _why(seen: Seen) -> str:
    return f" What is in the site's files is not taken: {seen.refused}" if seen.refused else ""


def _without(settings: Settings) -> Finding:
    if settings.tls.plain_http:
        return Finding("amber", TITLE, "There is none: whoever is on the way reads passwords and files.",
                       f"write `tls: {{mode: ...}}`: {HOW}")
    return Finding("green", TITLE, "None is needed: only this machine reaches the service.")
