"""Ctrl-C: heard where it leaves the service as it was, and answered with a sentence.

What may not be cut in two runs inside `held`, or `deaf` where it takes no time; what there is to say goes to `told`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import OperatorError
from .output import aside

SAID = "Interrupted. What was done so far stays; the rest was not begun."
UNCHANGED = "Interrupted. Nothing was changed. Again: the same command."
WAIT = "One moment: what Docker has begun ends first. Ctrl-C again cuts it off."


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C is heard at the end of the block; a second one at once."""
    heard = []

    def note(*_: Any) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(True)
        aside(WAIT)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


@contextmanager
def deaf() -> Iterator[None]:
    """Ctrl-C is not heard."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def told(text: str) -> Iterator[None]:
    """Ctrl-C ends the command with this sentence, as an OperatorError."""
    try:
        yield
    except KeyboardInterrupt:
        raise OperatorError(text) from None
