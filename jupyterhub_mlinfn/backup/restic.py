"""The program restic: one call with its words, its JSON lines as they come, its errors in our words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ..settings_backup import is_folder
from .trouble import Trouble, understood

ANSWER_S = 60
"""Longest that a target may take to say who it is; restic itself would try for a quarter of an hour."""
ENDS_S = 5
SOME_UNREAD = 3
"""Its exit code for a snapshot that lacks files which could not be read."""
SOME_LOST = "Fatal: There were"
"""How it ends when it could not restore all."""
NO_SPACE = "no space left on device"
GONE = ("no such file or directory", "file does not exist")
SLOWED = ("cpulimit", "--quiet", "--lazy", "--limit=10")
"""Takes nine tenths of a process's time away."""
LOOKS_S = 0.02
Message = Mapping[str, Any]


@dataclass(frozen=True)
class Restic:
    """How to call restic for one repository."""

    url: str
    key: Path
    cache: Path
    environment: Mapping[str, str]
    """Credentials of the target."""
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """A program that starts it, with its words."""
    inherited: tuple[int, ...] = ()
    """Open files that its process holds too: a lock that is held as long as one of ours runs."""

    def with_key(self, key: Path) -> Restic:
        """The same with another key."""
        return replace(self, key=key)

    def ask(self, *words: str, limit_s: float | None = None, progress: Callable[[Message], None] | None = None,
            ) -> list[Message]:  # fmt: skip
        """All that it answered but its progress. Raises Trouble."""
        answers: list[Message] = []
        for message in self.stream(*words, limit_s=limit_s):
            if message.get("message_type") != "status":
                answers.append(message)
            elif progress:
                progress(message)
        return answers

    def stream(self, *words: str, limit_s: float | None = None) -> Iterator[Message]:
        """What it answers, line by line, with an "error" for each file that it could not read or restore. May raise."""
        errors: list[Message] = []
        with self.output(*words, limit_s=limit_s, errors=errors) as process:
            yield from messages_in(process.stdout)
        yield from errors

    @contextmanager
    def output(self, *words: str, limit_s: float | None = None, errors: list[Message] | None = None,
               ) -> Iterator[subprocess.Popen]:  # fmt: skip
        """The process, for who reads what it prints; it ends with the block. Raises Trouble where all was read."""
        with tempfile.TemporaryFile("w+") as said, self._started(words, subprocess.PIPE, said) as process:
            late = threading.Event()
            timer = threading.Timer(limit_s or 0, _give_up, (process, late))
            if limit_s:
                timer.start()
            try:
                yield process
                while process.stdout.read(2**16):  # who has found what they wanted leaves the rest, and it would wait
                    pass
                code = process.wait()
            finally:
                timer.cancel()
                _end(process)
            if late.is_set() and code < 0:
                raise Trouble(self.url, "away")
            found = self._judged(words, code, said)
            if errors is not None:
                errors += found

    def write(self, *words: str, to: IO[bytes]) -> None:
        """What it prints goes into a file. Raises Trouble."""
        with tempfile.TemporaryFile("w+") as said, self._started(words, to, said) as process:
            self._judged(words, process.wait(), said)

    def _started(self, words: Sequence[str], out: Any, said: IO[str]) -> subprocess.Popen:
        always = ("--json", f"--password-file={self.key}", f"--cache-dir={self.cache}", *self.options)
        # The repository is in the environment, because an address may say more than a list of processes should.
        environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", **self.environment, "RESTIC_REPOSITORY": self.url}
        return subprocess.Popen([*self.before, "restic", *always, *words], stdin=subprocess.DEVNULL, stdout=out,
                                stderr=said, env=environment, pass_fds=self.inherited)  # fmt: skip

    def _judged(self, words: Sequence[str], code: int, said: IO[str]) -> list[Message]:
        said.seek(0)
        lines = said.read().splitlines()
        messages = [_parsed(line) for line in lines]
        is_rest_done = words[0] == "restore" and any(said.startswith(SOME_LOST) for said in _ends(messages))
        if is_rest_done or (code in (0, SOME_UNREAD) and words[0] == "backup"):
            return errors_in(messages)
        if code:
            raise understood(self.url, code, _last_words(messages, lines))
        return []

    def create(self) -> None:
        """There is a repository. Raises Trouble.

        Restic looks at how much this machine can do in half a second, and makes each later call do as much to open the
        key, so that guessing a password takes long. Ours is 256 bits of chance, which nobody guesses, and members wait
        for each of these calls: so restic finds a slow machine, and the key opens in 0.1 to 0.2 s.
        """
        with self.output("init", limit_s=ANSWER_S) as process, _slowed(process, self._has_key):
            for _ in messages_in(process.stdout):
                pass

    def _has_key(self) -> bool:
        """True in a folder where it has looked at the machine. What it writes after the key shall be there soon."""
        return is_folder(self.url) and any(Path(self.url, "keys").glob("*"))

    def identity(self) -> str:
        """The repository's id. Raises Trouble, "missing" where there is none."""
        return next(each["id"] for each in self.ask("cat", "config", "--no-lock", limit_s=ANSWER_S) if "id" in each)

    def lockers(self) -> list[str]:
        """The name of each host that works on the repository, or died while it did; empty for a lock that has gone."""
        with tempfile.TemporaryFile("w+") as listed:
            self.write("list", "locks", "--no-lock", to=listed)
            listed.seek(0)
            return [self._locker(name) for name in listed.read().split()]

    def _locker(self, name: str) -> str:
        try:
            return next(each["hostname"] for each in self.ask("cat", "lock", name, "--no-lock") if "hostname" in each)
        except (Trouble, StopIteration):  # whoever held it has just ended
            return ""


@contextmanager
def _slowed(process: subprocess.Popen, is_enough: Callable[[], bool]) -> Iterator[None]:
    """It has little of the machine during the block, or until that is enough, and goes on after it."""
    slowing = _slowing(process)
    if slowing is None:
        yield
        return
    ended = threading.Event()
    watch = threading.Thread(target=_let_go, args=(process, slowing, lambda: ended.is_set() or is_enough()))
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _slowing(process: subprocess.Popen) -> subprocess.Popen | None:
    nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.Popen([*SLOWED, f"--pid={process.pid}"], **nothing)
    except OSError:  # the key opens later than it might, and that is all
        return None


def _let_go(process: subprocess.Popen, slowing: subprocess.Popen, is_enough: Callable[[], bool]) -> None:
    """It goes on once that is enough, or once what slows it has died, which may have left it stopped."""
    while slowing.poll() is None and not is_enough():
        time.sleep(LOOKS_S)
    slowing.terminate()
    slowing.wait()
    process.send_signal(signal.SIGCONT)


def _give_up(process: subprocess.Popen, late: threading.Event) -> None:
    late.set()
    process.kill()


def _end(process: subprocess.Popen) -> None:
    """It has ended. It is told to, and what it still says is read, so that it can take away its lock before."""
    if process.poll() is not None:
        return
    process.terminate()
    timer = threading.Timer(ENDS_S, process.kill)
    timer.start()
    while process.stdout.read(2**16):
        pass
    process.wait()
    timer.cancel()


def unread(messages: Sequence[Message]) -> list[str]:
    """Errors about files that are there; one that has gone since it was listed is as if it had gone before."""
    return [said for each in errors_in(messages) if not (said := error_in(each)).endswith(GONE)]


def errors_in(messages: Sequence[Message]) -> list[Message]:
    """Those about a file, or about the repository."""
    return [each for each in messages if each.get("message_type") == "error"]


def error_in(message: Message) -> str:
    """What it complains of: of a file inside "error", of the repository beside it."""
    return str((message.get("error") or message).get("message", ""))


def messages_in(lines: IO[bytes]) -> Iterator[Message]:
    """JSON, one a line, or (cat config) one over several."""
    pending = ""
    for raw in lines:
        pending += raw.decode(errors="replace")
        found = _parsed(pending)
        if found:
            pending = ""
            yield from found if isinstance(found, list) else [found]


def _parsed(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, (dict, list)) else {}


def _last_words(messages: Sequence[Message], lines: Sequence[str]) -> str:
    single = [error_in(each) for each in errors_in(messages)]
    other = [line for line, each in zip(lines, messages, strict=True) if not each and line.strip()]
    return " ".join([*_ends(messages)[-1:], *single[:1], *other[-2:]]) or "it did not say why"


def _ends(messages: Sequence[Message]) -> list[str]:
    return [each["message"] for each in messages if each.get("message_type") == "exit_error"]
