"""Whether there is room on the disks, and who can read what lies on them."""

from __future__ import annotations

from .finding import Finding
from .known import Facts

GB = 2**30


def disk(facts: Facts) -> Finding:
    path, (free, total) = min(facts.free.items(), key=lambda item: item[1][0])
    said = f"{free / GB:.0f} of {total / GB:.0f} GB are free on the disk of {path}."
    remedy = f"du -xh --max-depth=2 {facts.settings.root} | sort -h | tail; docker system df"
    if free < GB or free < 0.02 * total:
        return Finding("red", "Disk", said, remedy)
    if free < 10 * GB or free < 0.1 * total:
        return Finding("amber", "Disk", said, remedy)
    return Finding("green", "Disk", said)


def folders(facts: Facts) -> Finding | None:
    """Whether labs see what the site wants them to see; nothing where it wants nothing."""
    if facts.away:
        return Finding("amber", "Folders", f"Labs start without {', '.join(facts.away)}: not there, or without answer.",
                       f"findmnt -T {facts.away[0]}; then mount it. Labs that start later see it")
    seen = ", ".join(str(extra.target) for extra in facts.settings.storage.extra)
    return Finding("green", "Folders", f"Labs see the site's own {seen}.") if seen else None


def run_folder(facts: Facts) -> Finding:
    if facts.run_is_tmpfs:
        return Finding("green", "Tokens", f"{facts.settings.root}/run is in memory only.")
    return Finding("red", "Tokens", f"{facts.settings.root}/run is not a tmpfs: tokens would reach the disk.",
                   "sudo mlinfn prepare")


def secrets(facts: Facts) -> Finding:
    if facts.secrets:
        return Finding("red", "Secrets", " ".join(facts.secrets), "sudo mlinfn prepare")
    return Finding("green", "Secrets", "Each can be read by its service alone.")
