"""How verbs answer: JSON for programs, or a few plain lines and tables that read well over SSH and without colour."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from ..errors import UserError

WIDEST = 1000  # or else rich cuts long words, such as ids, at the width of the window
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def refuse_before_verb(context: typer.Context, json: bool) -> None:
    """Nothing. Raises UserError where --json is given to a group of verbs, as the verb would not hear of it."""
    if json:
        raise UserError(f"--json goes behind the verb: mlinfn {context.info_name} {context.invoked_subcommand} --json")


def as_json(data: Any) -> None:
    """Print data for programs; paths and the like as text."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def lines(*texts: str) -> None:
    """Print plain lines."""
    for text in texts:
        typer.echo(text)


def aside(text: str) -> None:
    """Say something that is no part of the answer, on standard error."""
    typer.echo(text, err=True)


def coloured(text: str, colour: str, *, bold: bool = False) -> str:
    """The text in a colour, where somebody can see it and has not asked for none."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, fg=colour, bold=bold)


def beside(head: str, text: str, indent: int) -> None:
    """Print text beside a head of that width: on a terminal in a column of its own, for programs on one line."""
    width = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else WIDEST
    first, *more = textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]
    lines(head + first, *(" " * indent + each for each in more))


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 lab", "2 labs", "no lab"."""
    return f"{number or 'no'} {one if number < 2 else many or one + 's'}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under column heads; cut at nothing, so it can be searched and copied."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(soft_wrap=True, width=WIDEST).print(drawn)
