"""The pages of the documentation as tests read them: their fenced blocks, and the commands that they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.places import CHECKOUT

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PAGES = sorted({*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*/*.md"), CHECKOUT / "docs/index.md"})


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str


def page(name: str) -> str:
    """The text of a page, such as docs/how-to/install.md."""
    return (CHECKOUT / name).read_text()


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return re.split(r"^## ", text, flags=re.MULTILINE)[_titles(text).index(title) + 1]


def _titles(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def blocks(text: str, *languages: str) -> list[Block]:
    """The fenced blocks in these languages, in their order."""
    return [Block(*found) for found in FENCED.findall(text) if found[0] in languages]


def commands(path: Path) -> Iterator[list[str]]:
    """The words of each `mlinfn` command on a page, in a block or in a line, after the name and without `sudo`."""
    text = path.read_text()
    in_blocks = [line for block in blocks(text, "sh", "text") for line in block.text.splitlines()]
    in_lines = [" ".join(found.split()) for found in INLINE.findall(FENCED.sub("", text))]
    for said in (*in_blocks, *in_lines):
        if found := re.match(r"(?:sudo )?mlinfn (?!\.)(.+)", said):
            yield shlex.split(found[1], comments=True)
