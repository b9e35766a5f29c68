"""`mlinfn labs`: who has a lab, what it holds, since when; and stopping it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from . import completing
from .output import Json, as_json, aside, counted, lines, refuse_before_verb, table

if TYPE_CHECKING:
    from ..settings import Settings
    from .labs_seen import Lab
    from .site import Site

STOPPING_S = 80
"""Longest wait for labs that stop, after the `starting.stop_grace` that their programs have to end by themselves."""
LOOK_EVERY_S = 0.5

app = typer.Typer(help="Who has a lab, and what it holds.")


@app.callback(invoke_without_command=True)
def labs(context: typer.Context, json: Json = False) -> None:
    """Who has a lab, what it holds, since when, and when somebody did something in it last."""
    if context.invoked_subcommand:
        refuse_before_verb(context, json)
    else:
        list_(context, json)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """The same as without a verb: who has a lab, and what it holds."""
    from dataclasses import asdict

    found = _look(context.obj)
    if json:
        as_json([asdict(each) for each in found])
    else:
        _print(found)


@app.command()
def stop(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(
        metavar="LAB", help="PERSON or PERSON/SERVER, as `mlinfn labs` has it.",
        autocompletion=completing.labs)] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All labs.")] = False,
    json: Json = False,
) -> None:
    """Stop labs, as their owners could. What runs in them is lost; their files stay."""
    from ..errors import UserError
    from . import hub_api

    settings = context.obj.settings
    if bool(names) == everybody:
        raise UserError("Say whose labs: mlinfn labs stop PERSON..., or mlinfn labs stop --all.")
    there = hub_api.servers(settings)
    wanted = chosen(names or [], [*there])
    for user, server in wanted:
        hub_api.stop(settings, user, server)
    _wait(settings, wanted)
    stopped = [_name(*each) for each in wanted]
    if json:
        as_json({"stopped": stopped})
    else:
        lines(*(f"The lab of {each} is stopped." for each in stopped), *([] if stopped else ["No lab was running."]))


def chosen(names: Sequence[str], there: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Person and server of the labs that are meant; all, where none is named. Raises UserError for one that is not."""
    from ..errors import UserError

    known = {_name(*each): each for each in there}
    if missing := [name for name in names if name.rstrip("/") not in known]:
        raise UserError(f"{missing[0]} has no lab. There is: {', '.join(sorted(known)) or 'none'}.")
    return [known[name] for name in dict.fromkeys(name.rstrip("/") for name in names)] if names else sorted(there)


def _name(user: str, server: str) -> str:
    return f"{user}/{server}" if server else user


def limit_s(settings: Settings) -> int:
    """The longest wait for labs that stop."""
    from ..settings import seconds_of

    return seconds_of(settings.starting.stop_grace) + STOPPING_S


def _wait(settings: Settings, wanted: Sequence[tuple[str, str]]) -> None:
    """Nothing, once the hub has stopped them. Raises OperatorError if that takes too long."""
    from ..errors import OperatorError
    from . import hub_api

    end = time.monotonic() + (limit := limit_s(settings))
    while left := [each for each in wanted if each in hub_api.servers(settings)]:
        if time.monotonic() > end:
            raise OperatorError(f"{', '.join(_name(*each) for each in left)} did not stop within {limit} s. See: "
                                "mlinfn logs hub")  # fmt: skip
        time.sleep(LOOK_EVERY_S)


def _look(site: Site) -> list[Lab]:
    """The labs; without what the hub alone knows, where it does not answer."""
    from ..errors import OperatorError
    from . import compose, hub_api, labs_seen

    containers = compose.labs(site)
    try:
        servers = hub_api.servers(site.settings)
    except OperatorError as error:
        servers = None
        aside(f"Who did something last is not known. {error}")
    return labs_seen.listed(containers, servers)


def _print(found: Sequence[Lab]) -> None:
    from datetime import datetime, timezone

    from .labs_seen import ago

    if not found:
        lines("No lab is running.")
        return
    now = datetime.now(timezone.utc)
    table(["LAB", "PROFILE", "IMAGE", "MEM", "CPU", "GPU", "SINCE", "ACTIVE"],
          [[each.name, each.profile or "", each.image or "", _size(each.memory), f"{each.cpus or 0:g}",
            str(len(each.gpus)), ago(each.since, now), ago(each.active, now)] for each in found])  # fmt: skip
    for each in (each for each in found if each.state != "running"):
        lines(f"{each.name} is {each.state}.")
    lines(f"{counted(len(found), 'lab')}.")


def _size(memory: int | None) -> str:
    return f"{memory / 2**30:.3g}G" if memory else ""
