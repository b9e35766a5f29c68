"""`mlinfn restore`: a whole service back on a new machine, with the same people, uids, files and secrets."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import files
from . import interrupt
from .output import Json, as_json, lines
from .site import Site

MEMORY, PREFIX = Path("/dev/shm"), "mlinfn-restore-"
TOLD = 20
"""So many of the files that did not come are named on the screen."""


def register(app: typer.Typer) -> None:
    """Put the verb of this module into the command."""
    app.command()(restore)


def restore(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="TARGET", help="The repository, as in `backup.targets`.")],
    key: Annotated[Path | None, typer.Option(
        "--key", metavar="FILE", exists=True, dir_okay=False, help="A file with the key.")] = None,
    credentials: Annotated[Path | None, typer.Option(
        "--credentials", metavar="FILE", exists=True, help="A targets.ini, or a folder of credentials.")] = None,
    when: Annotated[str, typer.Option("--when", metavar="W", help="latest, a date or a time.")] = "latest",
    instance: Annotated[str, typer.Option("--instance", metavar="I", help="Whose, if there are several.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Also without what the target has lost.")] = False,
    json: Json = False,
) -> None:
    """Get everything back on a new machine: people, files, secrets. The settings as well. Services must be down."""
    from .backup import progress

    with interrupt.told(interrupt.UNCHANGED), _secrets(key, credentials) as secrets:
        done = _restored(context.obj, (source, when, instance, partial), secrets, progress(json))
    if json:
        as_json(done)
        return
    from ..backup.planning import minute
    from .put_back import LOADED, MISSING

    lost = [f"Not there: {each}" for each in done["missing"][:TOLD]]
    lost += [f"What the target has lost is in {done['root']}/{MISSING}."] if lost else []
    kept = [f"What was there before is in {done['before']}; remove it when all is well."] if done["before"] else []
    kept += [f"{done['not_loaded']} is what its hub loaded then. All hubs of this checkout load {LOADED}, which was "
             "left as it is."] if done["not_loaded"] else []  # fmt: skip
    lines(f"{done['instance']} is in {done['root']} as it was at {minute(done['time'])}.", *lost, *kept,
          f"Start it: {LOADED.parents[1]}/install.sh makes the images that its settings want as well",
          "A new machine makes copies once it is told to, for each target: mlinfn backup adopt TARGET")


def _restored(site: Site, wanted: tuple[str, str, str, bool], secrets: Path, say: Any) -> dict[str, Any]:
    from ..settings import load
    from . import backup_container, put_back, turn

    source, when, instance, partial = wanted
    words = ["--when", when, *(["--instance", instance] if instance else [])]
    told = backup_container.work(backup_container.Container(site, secrets, [source]), "settings", *words, say=say)
    (secrets / "mlinfn.yaml").write_text(told["text"] or _own(site.config, partial))
    settings = load(secrets / "mlinfn.yaml")
    with turn.taken(settings.root, "mlinfn restore"):
        put_back.refuse_running(settings.instance, _containers(settings.instance))
        put_back.refuse_mounts(settings.root)
        if not put_back.is_complete(settings.root):
            of = f"{source}, {told['instance']}, {told['time']}"
            if not partial or not put_back.came(settings.root, of):
                folder = put_back.staging(settings.root)
                container = backup_container.Container(site, secrets, [source], into=folder)
                with put_back.given_up(settings.root):
                    done = backup_container.work(container, "everything", *words, say=say)
                put_back.note(folder / put_back.MISSING, of, [path for each in done for path in each["missing"]])
            put_back.complete(settings.root, told["time"], partial=partial)
        moment = put_back.moment(settings.root)  # of the one before, if that was interrupted
        with interrupt.deaf():  # of some renames
            aside = put_back.hatch(site, settings.root)
            before = put_back.swap(settings.root, site.config)
    return {"instance": told["instance"], "time": moment, "root": str(settings.root),
            "before": str(before) if before else None, "not_loaded": str(aside) if aside else None,
            "missing": put_back.noted(settings.root / put_back.MISSING)}  # fmt: skip


def _own(config: Path, partial: bool) -> str:
    """The settings of this machine, where those in the target are lost. Raises OperatorError."""
    from ..errors import OperatorError

    if partial and config.is_file():
        return config.read_text()
    raise OperatorError(f"The target has lost mlinfn.yaml. Write it into {config} as it was, then: the same command "
                        "with --partial. Another target or moment may have all.")  # fmt: skip


def _containers(instance: str) -> list[dict[str, Any]]:
    """Its services and its labs."""
    from . import compose, engine

    labels = ("com.docker.compose.project", compose.INSTANCE_LABEL)
    return [each for label in labels for each in engine.containers(f"{label}={instance}")]


@contextmanager
def _secrets(key: Path | None, credentials: Path | None) -> Iterator[Path]:
    """A folder with the key and the credentials, for as long as they are needed: in memory, for the command may die."""
    from ..backup import place
    from .backup import typed

    for left in _left_behind():
        shutil.rmtree(left)
    where = MEMORY if files.is_tmpfs(MEMORY) else None
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=where) as name:
        folder = Path(name)
        for known, path in _given(credentials).items():
            files.replace(folder / known, path.read_text())
        text = key.read_text() if key else typed()
        files.replace(folder / place.KEY, text.strip() + "\n")
        yield folder


def _given(credentials: Path | None) -> dict[str, Path]:
    """The credentials by the names that the service has for them. Raises UserError for a folder that has none."""
    from ..backup import place
    from ..errors import UserError

    if not credentials or not credentials.is_dir():
        return {place.CREDENTIALS: credentials} if credentials else {}
    found = {path.name: path for path in place.given(credentials)}
    if not found:
        raise UserError(f"{credentials} has none of {', '.join(place.GIVEN)}, which are the credentials that a restore "
                        "takes. Name the folder that has them.")  # fmt: skip
    return found


def _left_behind(memory: Path = MEMORY) -> list[Path]:
    """Such folders of commands that are no more. Anybody may put there what is named like one."""
    found = (each for each in memory.glob(f"{PREFIX}*") if not Path("/proc", each.name.split("-")[2]).exists())
    return [each for each in found if _is_own_folder(each.lstat())]


def _is_own_folder(seen: os.stat_result) -> bool:
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()
