"""`mlinfn config`: is mlinfn.yaml right, what does it come to, and what may be in it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .output import Json, as_json, counted, lines

app = typer.Typer(help="The settings, mlinfn.yaml.", no_args_is_help=True)


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Say all that is wrong with the settings, or that nothing is."""
    from .. import options, room_names

    site = context.obj
    room_names.check(site.config, site.settings)
    profiles = options.profile_list_of(site.settings)
    options.parse_profiles(profiles)
    ignored = options.ignored_keys(profiles)
    if json:
        as_json({"config": site.config, "ok": True, "ignored": ignored})
    else:
        images = counted(len(profiles), "image")
        lines(f"{site.config} is right: instance {site.settings.instance}, {images} to pick from.")
        lines(*(f"Only Kubernetes knows {key}; it is ignored." for key in ignored))


@app.command()
def show(context: typer.Context, json: Json = False) -> None:
    """The settings with all defaults filled in. Values of variables, which may be secrets, are not shown."""
    data = context.obj.settings.model_dump(mode="json")
    data["profile_list"] = masked(data["profile_list"])
    if json:
        as_json(data)
    else:
        from .reference import as_yaml

        lines(as_yaml(data).rstrip("\n"))


def masked(data: Any) -> Any:
    """The same with *** for each value in a mapping `environment`, at any depth."""
    if isinstance(data, list):
        return [masked(each) for each in data]
    if not isinstance(data, dict):
        return data
    return {key: dict.fromkeys(value, "***") if key == "environment" and isinstance(value, dict) else masked(value)
            for key, value in data.items()}


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference page instead.")] = False,
    json: Json = False,
) -> None:
    """What may be in mlinfn.yaml. As JSON Schema, which editors understand."""
    from ..settings import Settings
    from . import reference

    if markdown and not json:
        lines(reference.settings_page(Settings).rstrip("\n"))
    else:
        as_json(Settings.model_json_schema())
