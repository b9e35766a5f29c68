"""`mlinfn backup`: snapshots now, what there is, checks, getting files back, and the key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import completing, interrupt
from .output import Json, as_json, aside, lines, table
from .site import Site

app = typer.Typer(help="Copies of everything that people made.", no_args_is_help=True)
Target = Annotated[str | None, typer.Option(
    "--target", metavar="T", help="Only this target.", autocompletion=completing.targets)]
When = Annotated[str, typer.Option("--when", metavar="W", help="latest, a date, a time, or the id of a snapshot.")]
Say = Callable[[Mapping[str, Any]], None]


@app.command()
def run(context: typer.Context, target: Target = None, accept_empty: Annotated[
    bool, typer.Option("--accept-empty", help="It is right that a folder which had files is empty now.")] = False,
    json: Json = False,
) -> None:
    """Make snapshots now, with their check. Exit code 1 if a target did not end well."""
    from . import backup_container

    words = ["--accept-empty"] if accept_empty else []
    done = backup_container.in_service(context.obj, "run", _targets(context.obj, target), progress(json), *words)
    said = [each["trouble"] or f"{each['url']}: good, after {each['duration_s']:.0f} s." for each in done]
    _tell(done, said, json)
    _end(done)


@app.command("list")
def list_(context: typer.Context, target: Target = None, kind: Annotated[
    str | None, typer.Option("--kind", metavar="K", help="Only homes, groups, shared, rooms or service.")] = None,
    json: Json = False,
) -> None:
    """The snapshots in each target. Exit code 1 if one of them does not tell."""
    found = _work(context.obj, target, "list", json=json)
    for each in found.values():
        each["snapshots"] = [one for one in each["snapshots"] if kind in (None, one["kind"])]
    if json:
        as_json(found)
    else:
        for url, each in found.items():
            lines(each["trouble"] or url)
            if not each["trouble"]:
                table(["SNAPSHOT", "TIME", "KIND", "FILES", "SIZE", "ADDED"], map(_row, each["snapshots"]))
    _end(found.values())


def _row(each: Mapping[str, Any]) -> Sequence[str]:
    return [each["id"], _minute(each["time"]), each["kind"], str(each["files"]), size(each["bytes"]),
            size(each["added"])]  # fmt: skip


@app.command()
def check(context: typer.Context, target: Target = None, read: Annotated[
    str, typer.Option("--read", metavar="SHARE", help="Read so much of the data as well, such as 10%.")] = "",
    json: Json = False,
) -> None:
    """Check the repositories. With all lists of files as they are there; exit code 1 if one is damaged."""
    done = _work(context.obj, target, "check", *([share(read)] if read else []), json=json)
    _tell(done, [each["trouble"] or f"{url} is sound." for url, each in done.items()], json)
    _end(done.values())


@app.command()
def restore(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="Kind of data and path, such as homes/anna/thesis.")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new folder, in which it is put.")],
    when: When = "latest", target: Target = None, partial: Annotated[
        bool, typer.Option("--partial", help="Also without what the target has lost.")] = False,
    json: Json = False,
) -> None:
    """Get files back into a new folder, with their owners and rights. Nothing that is there is changed."""
    from ..backup import restoring
    from . import put_back

    restoring.parsed(what)
    one = _targets(context.obj, target)[:1]
    with interrupt.told(interrupt.UNCHANGED), put_back.beside(to) as folder:
        done = _work(context.obj, one[0], "restore", "--when", when, "--", what, into=folder, json=json)
        if not partial:
            put_back.refuse_missing(done["missing"])
    said = [f"{to} has {what} as it was at {_minute(done['time'])}: {done['restored']} files and folders."]
    if done["missing"]:
        note = to.with_name(f"{to.name}-{put_back.MISSING}")
        put_back.note(note, f"{one[0]}, {done['instance']}, {done['time']}", done["missing"])
        said.append(f"{len(done['missing'])} that the target has lost are not there: {note}")
    _tell({**done, "to": to}, said, json)


@app.command()
def forget(
    context: typer.Context,
    snapshots: Annotated[list[str], typer.Argument(metavar="SNAPSHOT", help="Ids, as `backup list` has them.")],
    target: Annotated[str, typer.Option(
        "--target", metavar="T", help="Where they are.", autocompletion=completing.targets)],
    json: Json = False,
) -> None:
    """Remove snapshots, and what no other needs of them, for ever."""
    gone = _work(context.obj, target, "forget", "--", *snapshots, json=json)
    _tell({"gone": gone}, [f"{each['kind']} of {_minute(each['time'])} is gone." for each in gone], json)


@app.command()
def adopt(
    context: typer.Context,
    target: Annotated[str, typer.Argument(
        metavar="TARGET", help="As in `backup.targets`.", autocompletion=completing.targets)],
    json: Json = False,
) -> None:
    """Have this machine write to a target in place of another one. That one does not any more."""
    (done,) = _work(context.obj, target, "adopt", json=json)
    new = "" if done["repository"] else " Nothing is there: the next run makes a new repository."
    _tell(done, [f"{target} is this machine's from now on.{new} Copy now: mlinfn backup run"], json)


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """How each target stands. Exit code 1 if the newest good snapshot of one is too old."""
    from dataclasses import asdict
    from datetime import datetime, timezone

    from . import backup_service, health

    seen = backup_service.look(context.obj.settings, datetime.now(timezone.utc))
    found = backup_service.finding(context.obj.settings, seen)
    if json:
        as_json({"level": found.level, "reason": found.reason, "targets": [asdict(each) for each in seen.states]})
    else:
        table(["TARGET", "GOOD", "VERIFIED", "SIZE", "FAILURES"],
              [[each.url, _minute(each.good), _minute(each.verified), size(each.size), str(each.failures)]
               for each in seen.states])  # fmt: skip
        health.line(found)
    if found.level == "red":
        raise typer.Exit(1)


@app.command()
def key(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--show", help="Print it again.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say whether your copy opens the targets.")] = False,
    json: Json = False,
) -> None:
    """Print the key for your safe, the first time. Then say how to test your copy of it."""
    from . import put_back

    if check:
        opens = _work(context.obj, None, "key", json=json, given=typed())
        _tell(opens, [why or f"{url}: your copy opens it." for url, why in opens.items()], json)
        raise typer.Exit(1 if any(opens.values()) else 0)
    text = put_back.key(context.obj, again=show)
    said = [f"key: {text}", "Without it nobody reads the backups. Put it where a fire here does not reach it."]
    before = ["The key was shown before. Again: mlinfn backup key --show"]
    _tell({"key": text}, [*(said if text else before), "To test your copy: mlinfn backup key --check"], json)


def _end(done: Iterable[Mapping[str, Any]]) -> None:
    """The end of a verb that went on with the other targets where one did not do. Raises Exit, 1, then."""
    if any(each["reason"] for each in done):
        raise typer.Exit(1)


def _tell(data: Any, said: Sequence[str], json: bool) -> None:
    if json:
        as_json(data)
    else:
        lines(*said)


def typed() -> str:
    """A copy of the key, from the keyboard without showing it, or from standard input."""
    import sys
    from getpass import getpass

    return getpass("Your copy of the key: ") if sys.stdin.isatty() else sys.stdin.readline()


def share(text: str) -> str:
    """The text, which has to be a part of a hundred. Raises UserError."""
    from ..errors import UserError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if not found or not 0 < float(found[1]) <= 100:
        raise UserError(f"{text} is no share of the data. Write one such as 10% or 100%.")
    return text


def _targets(site: Site, target: str | None) -> tuple[str, ...]:
    """The targets, or the one that was named. Raises UserError."""
    from ..errors import UserError

    there = site.settings.backup.targets
    if not there or target not in (None, *there):
        raise UserError(f"{target or 'A target'} is not among `backup.targets`: {', '.join(there) or 'there is none'}.")
    return (target,) if target else there


def _work(site: Site, target: str | None, verb: str, *words: str, json: bool, into: Path | None = None,
          given: str = "") -> Any:  # fmt: skip
    from . import backup_container

    container = backup_container.of_site(site, _targets(site, target), into)
    return backup_container.work(container, verb, *words, say=progress(json), typed=given)


def progress(quiet: bool) -> Say:
    """Tells each step once, and each tenth of what takes long, on standard error."""
    shown: set[tuple] = set()

    def say(told: Mapping[str, Any]) -> None:
        percent = told.get("percent")
        step = (told["target"], told["step"], percent and percent // 10)
        if not quiet and step not in shown:
            shown.add(step)
            aside(f"{told['target']}: {told['step']}{f' {percent} %' if percent else ''}")

    return say


def size(count: int | None) -> str:
    """ "1.5 GB"."""
    number = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _minute(text: str) -> str:
    """A time as people here write it."""
    from ..backup.planning import minute

    return minute(text) if text else "never"
