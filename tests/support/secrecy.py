"""What no log may have: the tokens, codes, secrets and passwords of a whole test run, and the search for them.

Whoever hands out a secret keeps it here, and whoever writes a log has it watched; the search is made once, when all
tests are over, so that it does not matter which of them came first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

KEY = 12
"""A secret is found by its first characters, so also where it was cut off; what is shorter is none."""
WORD = re.compile(rb"[A-Za-z0-9_~+/=.-]{12,}")
SECRET_FILE = re.compile(r"[\w-]{20,}")


class Search:
    """Secrets on one side, logs on the other."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Iterable[str]]] = []
        self._kept: set[str] = set()
        self._watched: dict[Path, None] = {}
        self._read: list[tuple[str, set[bytes]]] = []

    def keep(self, secret: str) -> str:
        """The secret, which no log may have."""
        self._kept.add(secret)
        return secret

    def keep_from(self, source: Callable[[], Iterable[str]]) -> None:
        """No log may have what `source` returns when it is called at the end."""
        self._sources.append(source)

    def watch(self, path: Path) -> None:
        """This log, or every file in this folder as it is at the end, may have no secret."""
        self._watched[path] = None

    def read(self, name: str, log: bytes) -> None:
        """This may have no secret either; `name` says what it is, because nothing of it is left at the end."""
        self._read.append((name, set(WORD.findall(log))))

    def secrets(self) -> set[str]:
        """All that is looked for."""
        return self._kept.union(*(source() for source in self._sources))

    def found(self) -> list[str]:
        """Where a secret is, with what stands before it and its first four characters."""
        keys = {key for secret in self.secrets() for key in _keys(secret)}
        clean: set[bytes] = set()
        found = []
        for name, words in self._words():
            for word in words - clean:
                if (at := _first(word, keys)) < 0:
                    clean.add(word)
                else:
                    found.append(f"{name}: {word[: at + 4].decode()}...")
        return found

    def _words(self) -> Iterator[tuple[str, set[bytes]]]:
        yield from self._read
        for path in self._watched:
            for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
                yield str(file), set(WORD.findall(file.read_bytes()))


def _keys(secret: str) -> Iterator[bytes]:
    """The beginnings of a secret and, in a JWT, of each of its parts."""
    return (part[:KEY].encode() for part in secret.split(".") if len(part) >= KEY)


def _first(word: bytes, keys: set[bytes]) -> int:
    """Where the first secret in a word begins, -1 if there is none."""
    return next((at for at in range(len(word) - KEY + 1) if word[at : at + KEY] in keys), -1)


def in_folder(folder: Path) -> set[str]:
    """The secrets in the files of a folder that hold nothing else."""
    contents = (path.read_text(errors="replace").strip() for path in folder.glob("*/*") if path.is_file())
    return {content for content in contents if SECRET_FILE.fullmatch(content)}


run = Search()
"""That of this test run."""


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log() -> Iterator[None]:
    """The run fails, at the end of its last test, if any log of any test has a secret."""
    yield
    if found := run.found():
        pytest.fail("Secrets were handed out in this run and are in its logs:\n" + "\n".join(found), pytrace=False)
