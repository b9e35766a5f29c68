"""`mlinfn demo`: passwords for the made-up people of `login: demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from .output import Json, as_json, lines
from .turn import in_turn

app = typer.Typer(help="The made-up people of `login: demo`.", no_args_is_help=True)


@app.command()
@in_turn
def passwords(
    context: typer.Context,
    renew: Annotated[bool, typer.Option("--renew", help="New ones for all, also for who has one.")] = False,
    json: Json = False,
) -> None:
    """Give the demo people passwords, and print them. They are shown once."""
    from .. import demo

    new = demo.give_passwords(context.obj.settings, renew=renew)
    if json:
        as_json([{"name": name, "password": password, "groups": demo.PEOPLE[name].groups,
                  "what": demo.PEOPLE[name].what} for name, password in new.items()])  # fmt: skip
    elif new:
        lines(*(f"{name:12}  {password}   {demo.PEOPLE[name].what}" for name, password in new.items()),
              "They are not shown again; new ones: mlinfn demo passwords --renew")  # fmt: skip
    else:
        lines("The demo people have passwords already. New ones: mlinfn demo passwords --renew")


@app.callback()
def demo() -> None:
    """The made-up people of `login: demo`."""
