"""`mlinfn gpus`: which GPUs are there, how they are lent, and who holds them, as Docker's containers say."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from .output import Json, as_json, counted, lines, table

if TYPE_CHECKING:
    from ..gpus import Found, GPUClass, Holder
    from ..settings import Settings

SOURCES = {"nvml": "as NVIDIA's driver says", "cdi": "as Docker's device specifications say",
           "simulated": "simulated: labs get none"}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Put the verb of this module into the command."""
    app.command()(gpus)


def gpus(context: typer.Context, json: Json = False) -> None:
    """Which GPUs are there, how they are lent and who holds them. Exit code 1 if something is wrong with them."""
    from .. import gpus as lending
    from . import checks, engine, facts, health
    from .gpu_findings import gpu_findings

    settings = context.obj.settings
    about = engine.info()
    found = facts.gpus(settings, about)
    taken = holders(engine.containers(), found)
    wrong = gpu_findings(found, settings)
    classes = lending.classes_of(found.devices, settings.gpus)
    if json:
        as_json({**_as_data(found, classes, taken, settings), "findings": [vars(each) for each in wrong]})
    else:
        _print(found, classes, taken, settings)
        for each in wrong:
            health.line(each)
    if checks.worst(wrong) == "red":
        raise typer.Exit(1)


def holders(containers: list[dict[str, Any]], found: Found) -> tuple[Holder, ...]:
    """Who holds what, from `docker inspect` of all containers."""
    from ..gpus import ledger

    listed = [{"Id": each["Id"], "Names": [each["Name"]], "State": each["State"]["Status"],
               "Labels": each["Config"]["Labels"] or {}, "Created": _seconds(each["Created"])}
              for each in containers]  # fmt: skip
    strange = {each["Id"] for each in listed if ledger.needs_a_look(each)}
    return ledger.holders(listed, {each["Id"]: each for each in containers if each["Id"] in strange}, found.devices)


def _seconds(moment: str) -> float:
    """Docker's time, which has nanoseconds, as seconds since the epoch."""
    return datetime.fromisoformat(moment[:19] + "+00:00").timestamp()


def _as_data(found: Found, classes: tuple[GPUClass, ...], taken: tuple[Holder, ...],
             settings: Settings) -> dict[str, Any]:  # fmt: skip
    from ..gpus import state
    from ..gpus.line import free_slots

    told = state.class_states(classes, free_slots(classes, taken), ())
    return {
        "source": found.source,
        "classes": [{key: each[key] for key in each if key != "waiting"} for each in told],
        "devices": [_device(each, classes, taken, settings) for each in found.devices],
    }


def _device(device, classes, taken, settings: Settings) -> dict[str, Any]:
    from ..gpus import state

    slug = next((each.slug for each in classes if device in each.devices), None)
    held = [{"user": each.user, "server": each.server, "container": each.container[:12],
             "since": state.moment(each.since)} for each in taken if device.uuid in each.uuids]  # fmt: skip
    return {"uuid": device.uuid, "model": device.model, "memory": device.memory, "profile": device.profile or None,
            "class": slug, "reserved": slug is None, "cdi": device.cdi or None, "holders": held}  # fmt: skip


def _ways(devices: list[dict[str, Any]], settings: Settings, source: str) -> dict[str, str]:
    """UUID -> how Docker would give the device."""
    if source == "simulated":
        return dict.fromkeys((each["uuid"] for each in devices), "nothing")
    return {each["uuid"]: ("cdi" if each["cdi"] else "nvidia") if settings.gpus.driver == "auto"
            else settings.gpus.driver for each in devices}  # fmt: skip


def _print(found: Found, classes: tuple[GPUClass, ...], taken: tuple[Holder, ...], settings: Settings) -> None:
    from ..gpus import offer, state

    if not found.devices:
        lines("There is no GPU to lend.")
        return
    lines(f"{counted(len(found.devices), 'GPU')}, {SOURCES[found.source]}.")
    data = _as_data(found, classes, taken, settings)
    lines("")
    table(["CLASS", "TITLE", "FREE", "WHAT IT IS"],
          [[told["slug"], told["title"],
            state.said(told["free"], told["slots"], 0, shared=told["kind"] == "shared"), offer.about(each)]
           for each, told in zip(classes, data["classes"], strict=True)])  # fmt: skip
    lines("")
    ways = _ways(data["devices"], settings, found.source)
    table(["DEVICE", "CLASS", "GIVEN BY", "HELD BY", "SINCE"],
          [row for each in data["devices"] for row in _rows(each, ways[each["uuid"]])])  # fmt: skip


def _rows(device: dict[str, Any], way: str) -> list[list[str]]:
    """A line for each holder of the device, or one that says that nobody holds it."""
    what = [device["uuid"], device["class"] or "reserved", way]
    held = [[*what, each["user"] or f"container {each['container']}", each["since"] or ""]
            for each in device["holders"]]  # fmt: skip
    return held or [[*what, "nobody", ""]]
