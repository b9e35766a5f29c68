"""Whether this machine knows what time it is. Logins fail by a wrong clock, and backups keep the wrong ones."""

from __future__ import annotations

from .finding import Finding
from .known import Facts
from .registration import DRIFT_S, WORST_DRIFT_S

INSTALL = "sudo apt-get install chrony"
START = "sudo timedatectl set-ntp true"
RESTART = "sudo systemctl restart chrony || sudo systemctl restart systemd-timesyncd"


def clock(facts: Facts) -> Finding | None:
    """Whether something keeps it right; nothing where nobody can say."""
    if not facts.machine.clock.is_well:
        return None
    says = dict(line.split("=", 1) for line in facts.machine.clock.text.splitlines() if "=" in line)
    if says.get("NTPSynchronized") == "yes":
        return Finding("green", "Clock", "A time service keeps it right.")
    if says.get("CanNTP") == "no":
        return Finding("amber", "Clock", "No time service is installed to keep it right. Logins fail when it is a "
                       "minute off.", INSTALL)
    if says.get("NTP") == "no":
        return Finding("amber", "Clock", "The time service that keeps it right is off. Logins fail when it is a minute "
                       "off.", START)
    return Finding("amber", "Clock", "The time service reaches no server that tells it the time.", RESTART)


def others_clocks(facts: Facts) -> list[Finding]:
    """Those of registries that differ from ours; the identity service's is looked at with the rest of it."""
    ahead = {name: seconds for name, seconds in facts.outside.registries.items() if not isinstance(seconds, str)}
    return [_differs(name, seconds) for name, seconds in ahead.items() if abs(seconds) > DRIFT_S]


def _differs(name: str, seconds: float) -> Finding:
    said = f"This machine is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the registry {name}."
    return Finding("red" if abs(seconds) > WORST_DRIFT_S else "amber", "Clock", said, f"{START} || {INSTALL}")
