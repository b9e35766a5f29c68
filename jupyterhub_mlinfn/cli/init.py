"""`mlinfn init`: a commented mlinfn.yaml from the answers to ten questions, and a few more where they are needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import Json, as_json, aside, lines
from .site import CHECKOUT, Site

if TYPE_CHECKING:
    from .answers import Answers

EXAMPLE = CHECKOUT / "config" / "mlinfn.yaml"
NOTHING = "none"
"""What somebody types for an empty list where Enter means another one."""
NEXT = {
    "demo": "Four made-up people log in; passwords for them: mlinfn demo passwords",
    "local": "Then somebody to log in: mlinfn users add NAME --admin",
    "iam": "Register us at your IAM, then: mlinfn iam client ID (docs/how-to/register-with-iam.md)",
}
"""What else has to be done, by `login`."""


def register(app: typer.Typer) -> None:
    """Put the verb of this module into the command."""
    app.command()(init)


def init(
    context: typer.Context,
    answers: Annotated[Path | None, typer.Option(
        "--answers", metavar="FILE", help="Ask nothing: the answers are in this YAML file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace settings that are there; a copy is kept.")] = False,
    json: Json = False,
) -> None:
    """Write a commented mlinfn.yaml from the answers to ten questions."""
    site: Site = context.obj
    _refuse_there(site.config, force)
    chosen = _read(answers) if answers else _asked()
    kept = _write(site.config, _text(chosen))
    if json:
        as_json({"config": site.config, "kept": kept})
        return
    lines(f"Wrote {site.config}. What it may say besides is in its comments.",
          *([f"What was there before is in {kept}."] if kept else []),
          "Start it with: sudo mlinfn up", NEXT[chosen.login],
          *(["Whether mail arrives: mlinfn alerts test"] if chosen.mail else []))  # fmt: skip


def _refuse_there(config: Path, force: bool) -> None:
    from ..errors import UserError

    if config.exists() and not force:
        raise UserError(f"{config} is there already. To replace it, with a copy kept beside it: mlinfn init --force")


def _read(path: Path) -> Answers:
    """The answers in a file. Raises UserError with each mistake and its line."""
    from .. import settings_errors
    from ..errors import OperatorError, UserError
    from .answers import Answers

    try:
        return settings_errors.read(path, Answers, "The answers")
    except OperatorError as error:
        raise UserError(str(error)) from None


def _asked() -> Answers:
    """The answers of whoever sits at the terminal. Raises UserError where nobody does."""
    from ..errors import UserError
    from .answers import Answers, is_asked

    if not sys.stdin.isatty():
        raise UserError("There is no terminal to ask on. Write the answers into a file and add --answers FILE. Its "
                        f"keys, none of them needed: {', '.join(Answers.model_fields)}.")
    aside("Enter takes what is in brackets; where that is a list, none is for an empty one. All can be changed later.")
    given: dict[str, Any] = {}
    for name in (name for name in Answers.model_fields if is_asked(name, given)):
        given[name] = _one(name, given)
    return Answers.model_validate(given)


def _one(name: str, given: dict[str, Any]) -> Any:
    """The answer to one question, asked until it is one."""
    from .answers import Answers, wrong

    field = Answers.model_fields[name]
    is_many = isinstance(field.default, tuple)
    shown = " ".join(field.default) if is_many else "" if field.default is None else str(field.default)
    aside(f"\n{field.description}")
    while True:
        text = typer.prompt(f"  {name}", default=shown, show_default=bool(shown), err=True).strip()
        words = [] if text == NOTHING else text.replace(",", " ").split()
        value = words if is_many else (None if text in ("", NOTHING) else text)
        problem = wrong(name, value, given)
        if not problem:
            return value
        aside(f"  {name}: {problem}")


def _text(chosen: Answers) -> str:
    """The settings, as they come from the example. Raises OperatorError where that was changed too much."""
    from .answers import values
    from .example import with_values

    return with_values(EXAMPLE.read_text(encoding="utf-8"), values(chosen), EXAMPLE)


def _write(config: Path, text: str) -> Path | None:
    """Where a copy of what was there lies, if that differed. The new settings are read before they take that place."""
    from .. import files
    from ..settings import load

    config.parent.mkdir(parents=True, exist_ok=True)
    new = config.with_name(f".{config.name}.new")
    files.replace(new, text, mode=0o644)
    try:
        load(new)
        kept = _copy(config) if config.exists() and config.read_text(encoding="utf-8") != text else None
        new.replace(config)
    finally:
        new.unlink(missing_ok=True)
    return kept


def _copy(config: Path) -> Path:
    """A copy beside the settings, under a name that nothing has."""
    from .put_back import free

    kept = free(config.with_name(f"{config.name}.before-init"))
    kept.write_bytes(config.read_bytes())
    return kept
