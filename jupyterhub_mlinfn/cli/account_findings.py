"""Whether the machine's own people have numbers that are ours: to the kernel, two with one number are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..settings import Settings
from ..settings_types import SERVICE_UIDS
from .finding import Finding
from .known import Facts
from .machine import Account

NEAR = 1000
"""So many numbers of a range are thought to be handed out one day."""
FIRST, AFTER = 1000, 60000
"""Numbers of ordinary people, as adduser hands them out."""
ROOMY, WHOLE = 1_000_000, 2**16
"""Where ranges of subordinate numbers are out of the way, and how long they usually are."""
OPTION = {"subuid": "subuids", "subgid": "subgids"}


def accounts(facts: Facts) -> list[Finding]:
    """A finding for each that clashes; one line where none does."""
    everybody = facts.machine.accounts
    clashes = [each for each in everybody if _clashes(each, facts.settings)]
    before = [sum(other.file == each.file for other in clashes[:index]) for index, each in enumerate(clashes)]
    return [_said(each, everybody, place) for each, place in zip(clashes, before, strict=True)] or [
        Finding("green", "Numbers", "The machine's own people have none of the members' uids and gids.")]


def _clashes(account: Account, settings: Settings) -> bool:
    uids, gids = settings.uids.as_range(), settings.gids.as_range()
    ours = {"passwd": (uids, SERVICE_UIDS), "group": (gids, uids, SERVICE_UIDS),
            "subuid": (uids[:NEAR], SERVICE_UIDS), "subgid": (gids[:NEAR], uids[:NEAR], SERVICE_UIDS)}  # fmt: skip
    last = account.first + account.count - 1
    return any(account.first < each.stop and last >= each.start for each in ours[account.file])


def _said(account: Account, everybody: Sequence[Account], place: int) -> Finding:
    """`place` is 0 for the first of its file that clashes, and so on: each gets another number."""
    file, name, same = account.file, account.name, [each for each in everybody if each.file == account.file]
    if file in OPTION:
        return _may_use(account, max([ROOMY, *(each.first + each.count for each in same)]) + place * WHOLE)
    number = _free(same)[place]
    command = f"usermod --uid {number}" if file == "passwd" else f"groupmod --gid {number}"
    return Finding("red", "Numbers", f"{name} of /etc/{file} has {account.first}, which is a member's or a service's: "
                   "they may read and stop what is the other's.", f"sudo {command} {name}")


def _may_use(account: Account, better: int) -> Finding:
    first, last, option = account.first, account.first + account.count - 1, OPTION[account.file]
    return Finding("amber", "Numbers", f"/etc/{account.file} lets {account.name} use {first} to {last}, some of them "
                   "members': in containers of their own they could be any of these.",
                   f"sudo usermod --del-{option} {first}-{last} --add-{option} {better}-{better + WHOLE - 1} "
                   f"{account.name}")  # fmt: skip


def _free(accounts: Iterable[Account]) -> list[int]:
    """The numbers that adduser would give next."""
    taken = {each.first for each in accounts}
    return [number for number in range(FIRST, AFTER) if number not in taken]
