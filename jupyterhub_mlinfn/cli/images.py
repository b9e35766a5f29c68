"""`mlinfn images`: what members are offered and what is on this machine of it, fetching it, and building ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Annotated

import typer

from . import completing
from .output import Json, as_json, aside, lines, table
from .turn import in_turn

DAY_S = 86400.0
SHOWN_EVERY = 10
"""Percent between two lines of a pull."""
MORE = {
    "lab-ml": "images:\n  - {slug: lab-ml, title: Machine learning, image: mlinfn/lab-ml, tags: [GPU]}",
    "lab-conda": "images:\n  - {slug: lab-conda, title: Conda environments, image: mlinfn/lab-conda}",
    "collab": "rooms: each-group",
}
"""Labs of this checkout that the example does not offer -> what brings them into mlinfn.yaml."""

app = typer.Typer(help="The images that members are offered.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """The offered images: on this machine or not, size, age, version."""
    from . import engine, offered

    settings = context.obj.settings
    named = offered.references(settings, sorted(engine.image_names()) if settings.host_images else ())
    found = [offered.Offered(image, slugs, engine.image(image)) for image, slugs in named.items()]
    if json:
        as_json([each.as_data() for each in found])
    else:
        table(["IMAGE", "OFFERED AS", "HERE", "SIZE", "MADE", "VERSION"], [_row(each) for each in found])
        lines(*_hints(found))


def _row(each) -> list[str]:
    data = each.as_data()
    slugs = ", ".join(each.slugs)
    if not data["here"]:
        return [each.image, slugs, "no", "", "", ""]
    return [each.image, slugs, "yes", f"{data['size'] / 1e6:.0f} MB", data["created"][:10], each.version]


def _hints(found) -> list[str]:
    """What brings the images that are missing, and what else this checkout has."""
    missing = [each for each in found if each.found is None]
    said = ["Ours that are missing are built with: mlinfn images build"] * any(each.is_ours for each in missing)
    said += ["Others are fetched with: mlinfn images pull"] * any(not each.is_ours for each in missing)
    listed = {each.image.partition(":")[0] for each in found}
    for name, entry in MORE.items():
        if f"mlinfn/{name}" not in listed:
            said.append(f"There is also {name}. Add this, then run mlinfn images build and mlinfn up:\n{entry}")
    return ["", *said] if said else []


@app.command()
def pull(
    context: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(
        metavar="IMAGE", help="Only these.", autocompletion=completing.pulled)] = None,
    json: Json = False,
) -> None:
    """Fetch the offered images that are not ours. The newest of their tags; exit code 1 if one cannot be had."""
    from . import engine, offered

    engine.info()
    done = []
    for image in offered.to_pull(context.obj.settings, images or []):
        done.append({"image": image, "error": _pull(image)})
        if not json:
            lines(done[-1]["error"] or f"{image} is here.")
    if json:
        as_json(done)
    elif not done:
        lines("No image is offered that comes from a registry.")
    if any(each["error"] for each in done):
        raise typer.Exit(1)


def _pull(image: str) -> str:
    """Empty once the image is here, its progress told aside; else why it cannot be had."""
    from docker.utils import kwargs_from_env

    from ..errors import UserError
    from ..images import pulling

    shown = -1
    try:
        for progress in pulling(image, DAY_S, version="auto", **kwargs_from_env()):
            if progress.total and progress.percent // SHOWN_EVERY > shown:
                shown = progress.percent // SHOWN_EVERY
                aside(progress.sentence(image))
    except UserError as error:
        return str(error)
    return ""


@app.command()
@in_turn
def build(
    context: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(
        metavar="NAME", help="Only these, such as lab-ml.", autocompletion=completing.buildable)] = None,
    torch: Annotated[str | None, typer.Option("--torch", help="PyTorch of lab-ml: cuda, or none.")] = None,
    json: Json = False,
) -> None:
    """Build the offered images that are ours. Only where something has changed; exit code 1 if one cannot be had."""
    from ..errors import UserError
    from . import engine, offered

    if torch not in (None, "cuda", "none"):
        raise UserError(f"--torch is cuda or none, not {torch}.")
    engine.info()
    plan = offered.to_build(context.obj.settings, images or [], torch)
    statuses = [_build(names, flavour, json) for flavour, names in plan.items()]
    if json:
        as_json({"images": [name for names in plan.values() for name in names], "built": not any(statuses)})
    elif not plan:
        lines("No image of ours is offered.")
    if any(statuses):
        raise typer.Exit(1)


def _build(names: list[str], torch: str, json: bool) -> int:
    """Exit status of the checkout's own builder, which tells its progress.

    Ctrl-C is passed on to it and to what it has started: it puts away what it has on the disk, and says so.
    """
    from .site import CHECKOUT

    command = [sys.executable, "-B", str(CHECKOUT / "images/build"), f"--torch={torch}", *names]
    with subprocess.Popen(command, stdout=sys.stderr if json else None, start_new_session=True) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise typer.Exit(1) from None


@app.callback()
def images() -> None:
    """The images that members are offered."""
