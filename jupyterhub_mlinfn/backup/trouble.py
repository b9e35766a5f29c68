"""What went wrong with a target, from restic's exit code and words, in one sentence for the keeper."""

from __future__ import annotations

import re
from typing import Literal

from ..errors import OperatorError

Reason = Literal["key", "missing", "unfinished", "another", "machine", "emptied", "databases", "locked", "full",
                 "denied", "away", "damaged", "killed", "system", "busy", "settings", "attribute", "room",
                 "other"]  # fmt: skip
BY_CODE: dict[int, Reason] = {10: "missing", 11: "locked", 12: "key"}
BY_WORDS: tuple[tuple[Reason, str], ...] = (
    ("attribute", r"invalid pax record"),
    ("full", r"no space left|quota ?exceeded|quota has been exceeded|insufficient storage|storage ?full|\b507\b"),
    ("denied", r"access ?denied|signature ?does ?not ?match|invalid ?access ?key|permission denied|\b403\b|read-only"),
    ("away", r"connection refused|no such host|time[d ]*out|unreachable|no route|connection reset|server misbehaving"
             r"|sftp session|connection closed|broken pipe|couldn't connect|nosuchbucket|input/output error"),
)  # fmt: skip
SAID: dict[Reason, str] = {
    "key": "the key in secrets/backup does not open it",
    "missing": "there is no repository; is the disk mounted, or was it emptied?",
    "unfinished": "its making was cut off: it has a key and no config",
    "another": "another repository than before is there",
    "machine": "another machine writes to it",
    "emptied": "what it has copies of has gone; is the disk mounted?",
    "databases": "the hub has never copied its databases for it",
    "locked": "somebody else works on it",
    "full": "it is full",
    "denied": "it does not let us write or read",
    "away": "it does not answer",
    "damaged": "its check found damage",
    "killed": "restic was killed, probably because the memory ran out",
    "system": "this machine did not let a run go on",
    "busy": "a run or a check of it goes on already",
    "settings": "its key or its credentials are not as they must be",
    "attribute": "a file has an attribute whose name no archive can hold",
    "room": "this machine's disk has no room for what comes back",
    "other": "restic gave up",
}
LOCK = re.compile(r"locked (exclusively )?by (PID \d+ on \S+).*?created at ([\d-]+ [\d:]+)", re.DOTALL)


class Trouble(OperatorError):
    """A target that could not be used. `reason` is a fixed word for metrics and files."""

    def __init__(self, target: str, reason: Reason, words: str = ""):
        detail = f" ({words})" if words else ""
        super().__init__(f"{target}: {SAID[reason]}{detail}.")
        self.reason: Reason = reason


def of_error(target: str, error: OperatorError | OSError) -> Trouble:
    """The trouble behind what ended a run."""
    if isinstance(error, Trouble):
        return error
    reason: Reason = "settings" if isinstance(error, OperatorError) else "system"
    return Trouble(target, reason, short(str(error)).rstrip("."))


def understood(target: str, code: int, words: str) -> Trouble:
    """The trouble behind an exit code of restic and the last that it said; below zero it is a signal."""
    if code < 0:
        return Trouble(target, "killed")
    reason = BY_CODE.get(code) or _by_words(words)
    if reason == "locked":
        lock = LOCK.search(words)
        return Trouble(target, reason, f"{lock[2]}, since {lock[3]}" if lock else "")
    return Trouble(target, reason, "" if reason in ("key", "missing") else short(words))


def _by_words(words: str) -> Reason:
    return next((reason for reason, signs in BY_WORDS if re.search(signs, words, re.IGNORECASE)), "other")


def short(words: str) -> str:
    """The last thing said, on one line and not long: what stands at its end says most."""
    line = plain(" ".join(words.removeprefix("Fatal: ").split()))
    return line if len(line) <= 300 else f"{line[:100]}...{line[-197:]}"


def plain(words: str) -> str:
    """The words with what would break a line or move a cursor written out: names of files may have it in them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)
