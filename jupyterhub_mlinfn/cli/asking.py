"""Asking programs of this machine, many at the same time, none for longer than somebody waits."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar

from .direct import ANSWER_S

MISSING, LATE = 127, 124
"""As a shell and timeout(1) say it."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Said:
    """What a program said, and how it ended: 0, its own code, MISSING or LATE."""

    code: int = MISSING
    text: str = ""

    @property
    def is_well(self) -> bool:
        """True if it did what it was asked to."""
        return self.code == 0


def said(*words: str, limit_s: float = ANSWER_S) -> Said:
    """What a program printed, complaints included. One that hangs in the kernel is left behind, not waited for."""
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace")
    except (FileNotFoundError, PermissionError):
        return Said()
    try:
        text, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return Said(LATE)
    return Said(process.returncode, text.strip())


def within(limit_s: float, question: Callable[[], Answer]) -> Answer | None:
    """The answer; None if it takes longer. Who hangs in the kernel is left behind, and keeps nobody from ending.

    What the question raises is raised here.
    """
    with ThreadPool(1) as threads:  # unlike an executor's, these threads are not waited for
        try:
            return threads.apply_async(question).get(limit_s)
        except multiprocessing.TimeoutError:
            return None


def at_once(questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """The answer to each question by its name; all are asked at the same time."""
    with ThreadPoolExecutor(max(1, len(questions))) as threads:
        asked = {name: threads.submit(question) for name, question in questions.items()}
    return {name: future.result() for name, future in asked.items()}
