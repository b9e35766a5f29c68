"""`mlinfn status` and `mlinfn doctor`: how the instance is, in one screen, with the command that mends each finding."""

from __future__ import annotations

import typer

from .output import Json, as_json, beside, coloured, lines

SIGNS = {"green": ("ok", "green"), "amber": ("look", "yellow"), "red": ("BAD", "red")}
INDENT = 22
"""Where reasons begin."""


def register(app: typer.Typer) -> None:
    """Put the verbs of this module into the command."""
    app.command()(status)
    app.command(short_help="What may be wrong with the machine and the instance.")(doctor)


def status(context: typer.Context, json: Json = False) -> None:
    """How the instance is, in one screen. Exit code 1 if something is red."""
    from . import checks

    _answer(context, checks.STATUS, json, whole=False)


def doctor(context: typer.Context, json: Json = False) -> None:
    """Everything that may be wrong with the machine and the instance, with what mends it. Exit code 1 if it is red."""
    from . import checks

    _answer(context, checks.DOCTOR, json, whole=True)


def _answer(context: typer.Context, wanted, json: bool, *, whole: bool) -> None:
    from dataclasses import replace

    from . import checks, facts

    found = checks.findings(wanted, facts.gather(context.obj, whole=whole))
    answer([replace(each, remedy=context.obj.command(each.remedy)) for each in found], json)


def answer(found, json: bool) -> None:
    """The findings, printed. Ends the command with 1 if one is red."""
    from dataclasses import asdict

    from . import checks

    worst = checks.worst(found)
    if json:
        as_json({"level": worst, "findings": [asdict(each) for each in found]})
    else:
        for each in found:
            line(each)
    if worst == "red":
        raise typer.Exit(1)


def line(found) -> None:
    """Print one finding, with what mends it."""
    sign, colour = SIGNS[found.level]
    head = f"{coloured(f'{sign:5}', colour, bold=found.level == 'red')}{found.title:17}"
    beside(head, found.reason, INDENT)
    if found.remedy:
        lines(f"{'':{INDENT}}-> {found.remedy}")
