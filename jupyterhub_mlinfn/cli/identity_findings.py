"""How the identity service is."""

from __future__ import annotations

from datetime import datetime

from ..discovery import WORDS
from .finding import Finding
from .known import Facts


def identity(facts: Facts) -> Finding | None:
    """Whether those who log in can be looked up; nothing where everybody has a password here."""
    if facts.settings.login == "local":
        return None
    title, known = "Identity service", facts.identity
    if not known:
        return Finding("amber", title, "The hub has not looked at it yet.", "wait a minute, then: mlinfn logs hub")
    unknown = ", ".join(known.get("unknown", ()))
    if known["ok"] and unknown:
        return Finding("amber", title, f"It answers, but whether these may keep their labs cannot be told: {unknown}.",
                       "ask them to log in again; mlinfn logs hub")
    if known["ok"]:
        return Finding("green", title, "It answers; groups and tokens are those of now.")
    since = datetime.fromtimestamp(known["since"]).astimezone()
    logins = "" if known["reason"] == "no_refresh_token" else ", but nobody logs in"
    said = f"Since {since:%Y-%m-%d %H:%M %Z}: {WORDS[known['reason']]}. Labs and sessions go on{logins}."
    is_demo = facts.settings.login == "demo"
    return Finding("amber", title, said, "mlinfn logs iam-demo" if is_demo else "mlinfn iam check")


def issuer(facts: Facts) -> list[Finding]:
    """What is wrong at the identity service as far as anybody may ask; one line where nothing is."""
    found = facts.outside.issuer
    wrong = [each for each in found if each.level != "green"]
    if found and not wrong:
        return [Finding("green", "Discovery", f"{facts.settings.iam.issuer} answers, with this machine's time.")]
    return wrong
