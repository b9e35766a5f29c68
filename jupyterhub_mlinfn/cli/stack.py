"""`mlinfn prepare`, `up`, `down`, `logs`: the services of the instance. Labs are the hub's business and go on."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import OperatorError
from . import completing
from .output import Json, as_json, aside, counted, lines
from .turn import in_turn

WHO = {
    "local": "Somebody new to log in: mlinfn users add NAME",
    "demo": "Four made-up people log in; passwords for them: mlinfn demo passwords",
    "iam": "Who is in the groups of `iam` logs in. Whether that works: mlinfn iam check",
}
"""How people come in, by `login`."""


def register(app: typer.Typer) -> None:
    """Put the verbs of this module into the command."""
    for verb in (in_turn(prepare), in_turn(up), in_turn(down), logs):
        app.command()(verb)


def prepare(context: typer.Context, json: Json = False) -> None:
    """Make the folders, secrets and files that services need. What is right is left alone."""
    from . import ground

    done = ground.prepare(context.obj)
    if json:
        as_json({"done": done})
    else:
        lines(*(done or ["Everything is there already."]))


def up(
    context: typer.Context,
    wait: Annotated[int, typer.Option("--wait", metavar="SECONDS", min=5, help="Longest wait for the services.")] = 180,
    json: Json = False,
) -> None:
    """Start the services, and wait until they are well. What has changed is renewed; labs go on."""
    from . import compose, ground

    site = context.obj
    compose.check_before(site)
    before = compose.services(site)
    try:
        done = ground.prepare(site)
        for each in done:
            aside(each)
        failed = compose.up(site, quiet=json)
        for each in failed:
            aside(each)
        restarted = compose.restart_if_settings_are_newer(site, quiet=json)
        compose.wait_until_well(site, limit_s=wait, say=(lambda text: None) if json else aside)
    except KeyboardInterrupt:
        raise OperatorError(compose.interrupted(site, before)) from None
    url = compose.url(site.settings)
    if json:
        as_json({"url": url, "done": done, "restarted": restarted, "failed": failed})
    else:
        lines(f"{site.settings.instance} is up: {url}", WHO[site.settings.login])


def down(
    context: typer.Context,
    labs: Annotated[bool, typer.Option("--labs", help="Stop members' labs too; what runs in them is lost.")] = False,
    json: Json = False,
) -> None:
    """Stop the services. Labs and what computes in them go on, unless --labs is given."""
    from ..settings import seconds_of
    from . import compose, engine

    site = context.obj
    engine.info()  # who does not answer is named before Compose complains in its own words
    compose.down(site, quiet=json)
    running = compose.labs(site)  # now that no hub starts or stops any
    if labs and running:
        grace_s = seconds_of(site.settings.starting.stop_grace)
        compose.stop_labs(running, grace_s, say=(lambda text: None) if json else aside)
    if json:
        as_json({"labs": len(running), "labs_stopped": labs})
        return
    fate = "stopped as well" if labs else "left running; unreachable until `mlinfn up`"
    lines(f"The services of {site.settings.instance} are stopped.",
          f"{counted(len(running), 'lab')} {fate}." if running else "No lab was running.")


def logs(
    context: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(
        metavar="SERVICE",
        help="hub, proxy, guard, iam-demo, traefik, certificate, gpus, cvmfs, cvmfs-probe, collab, backup, "
             "backup-page, prometheus, node-exporter, alertmanager, dirsize, grafana, cadvisor, "
             "dcgm-exporter.",
        autocompletion=completing.services)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="How many old lines of each service.")] = 100,
    json: Json = False,
) -> None:
    """What the services said, the newest last. With --json, one object a line."""
    import json as json_

    from . import compose

    try:
        for service, text in compose.logs(context.obj, services or [], follow=follow, tail=tail):
            as_object = {"service": service, "line": text}
            lines(json_.dumps(as_object, ensure_ascii=False) if json else f"{service:8} {text}")
    except KeyboardInterrupt:
        if not follow:  # else it is the way to end it
            raise
