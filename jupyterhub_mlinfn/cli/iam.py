"""`mlinfn iam`: the client's id and secret at the identity service, and whether a login would work with them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import UserError
from .output import Json, as_json, lines
from .turn import in_turn

app = typer.Typer(help="The identity service that people log in through.", no_args_is_help=True)


@app.command()
@in_turn
def client(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="ID", help="The client's id, as the identity service gave it.")],
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the secret from standard input's first line.")] = False,
    json: Json = False,
) -> None:
    """Keep the client's id and secret. The secret is asked for and not shown; it is never an argument."""
    from .. import files, login
    from . import ground

    settings = context.obj.settings
    secret = sys.stdin.readline() if stdin else typer.prompt("Client secret", hide_input=True, err=True)
    values = {"iam_client_id": _word("id", client_id), "iam_client_secret": _word("secret", secret)}
    ground.folders(settings.root)
    ground.make_secrets(settings.root / "secrets", ground.readers(settings))
    for name, value in values.items():
        files.replace(settings.root / "secrets" / "hub" / name, value + "\n")
    if json:
        as_json({"client_id": values["iam_client_id"], "redirect_uri": login.callback_url(settings)})
    else:
        lines(f"Kept in {settings.root}/secrets/hub, for the hub alone. Try it: mlinfn iam check",
              "Then, with `login: iam` in the settings: mlinfn up")  # fmt: skip


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Whether people could log in, and what is in the way. Exit code 1 if they could not."""
    from . import health, registration

    health.answer(registration.findings(registration.of(context.obj.settings)), json)


def _word(what: str, value: str) -> str:
    """The value without spaces around it. Raises UserError if it cannot be one."""
    value = value.strip()
    if not value or len(value) > 2000 or not value.isprintable() or " " in value:
        raise UserError(f"The client's {what} is one word of 1 to 2000 characters; that was not.")
    return value
