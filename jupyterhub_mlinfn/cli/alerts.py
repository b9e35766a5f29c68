"""`mlinfn alerts`: what is wrong with the machine, and whether the keeper is told of it."""

from __future__ import annotations

import typer

from .output import Json, as_json, lines, refuse_before_verb

app = typer.Typer(help="What is wrong, what to do about it, and who is told.")


@app.callback(invoke_without_command=True)
def alerts(context: typer.Context, json: Json = False) -> None:
    """What is wrong now, with what to do about it. Exit code 1 if something is critical, or nobody knows."""
    if context.invoked_subcommand:
        refuse_before_verb(context, json)
        return
    from dataclasses import asdict

    from ..errors import OperatorError
    from . import alerts_seen

    _require(context)
    seen = alerts_seen.look(context.obj.settings)
    if seen.trouble:
        raise OperatorError(f"{seen.trouble} See: mlinfn status")
    if json:
        as_json([asdict(each) for each in seen.alerts])
    else:
        for each in seen.alerts:
            lines(f"{each.severity:9}{each.name}: {each.summary}", f"{'':9}-> {each.todo}",
                  f"{'':9}   since {each.since[:16].replace('T', ' ')} UTC; {each.page}")
        lines(*([] if seen.alerts else ["Nothing is wrong."]))
    if any(each.severity == "critical" for each in seen.alerts):
        raise typer.Exit(1)


@app.command("test")
def try_(context: typer.Context, json: Json = False) -> None:
    """Send an alert that means nothing, and say who took it. Exit code 1 if somebody did not."""
    from dataclasses import asdict

    from . import alert_test

    _require(context)
    verdicts = alert_test.send(context.obj)
    if json:
        as_json([asdict(each) for each in verdicts])
    else:
        lines(*(f"{each.way} took it." if each.took else f"{each.way} did not take it: {each.why}"
                for each in verdicts))
    if not all(each.took for each in verdicts):
        raise typer.Exit(1)


def _require(context: typer.Context) -> None:
    """Raises UserError where nothing is watched."""
    from ..errors import UserError

    if not context.obj.settings.monitoring.enabled:
        raise UserError("Nothing is watched: mlinfn.yaml has `monitoring: {enabled: false}`.")
