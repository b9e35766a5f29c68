"""`mlinfn users`: the people of `login: local`, and names of people who come from an identity service.

A password is generated or read from standard input; it is never an argument.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from . import completing
from .output import Json, as_json, lines, table
from .site import Site
from .turn import in_turn

app = typer.Typer(help="People who may log in, with `login: local`; names, with others.", no_args_is_help=True)

ELSEWHERE = {
    "demo": "The people of the demo identity service are fixed; `mlinfn demo passwords` gives them passwords.",
    "iam": "Who is in the groups that `iam` allows logs in; add and remove people there.",
}
"""Where people come from, by `login`."""

Name = Annotated[str, typer.Argument(
    metavar="NAME", help="User name; capitals do not matter.", autocompletion=completing.people)]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="G", help="A group of theirs. Repeat for more.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from the first line of standard input.")]


@app.command()
@in_turn
def add(
    context: typer.Context,
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="May administer the hub.")] = False,
    group: Groups = None,
    stdin: Stdin = False,
    json: Json = False,
) -> None:
    """Let somebody in, and print a password for them. It is shown once."""
    from .. import passwords

    name, path = passwords.check_name(name), _people(context.obj)
    password = _password(stdin)
    groups = tuple(passwords.check_group(each) for each in dict.fromkeys(group or ()))
    person = passwords.Person(passwords.hashed(password), admin, groups)
    passwords.change(path, lambda people: passwords.added(people, name, person))
    _say_password(name, password, stdin, json, {"admin": admin, "groups": groups})


@app.command(name="list")
def list_(context: typer.Context, json: Json = False) -> None:
    """Everybody who may log in."""
    from .. import passwords

    people = passwords.read(_people(context.obj))
    if json:
        as_json([{"name": name, "admin": each.admin, "groups": each.groups} for name, each in people.items()])
    elif people:
        table(["NAME", "ADMIN", "GROUPS"],
              [(name, "admin" if each.admin else "", ", ".join(each.groups)) for name, each in people.items()])
    else:
        lines("Nobody may log in yet. Add somebody with: mlinfn users add NAME")


@app.command()
@in_turn
def remove(context: typer.Context, name: Name, json: Json = False) -> None:
    """Let somebody in no more. Their files stay."""
    from .. import passwords

    name = passwords.normalise(name)  # also one that nobody can have any more
    passwords.change(_people(context.obj), lambda people: passwords.removed(people, name))
    if json:
        as_json({"removed": name})
    else:
        lines(f"{name} cannot log in any more, and is out of the hub within a minute. The files stay, and so does a "
              "running lab until it is stopped on the hub's admin page.")


@app.command()
@in_turn
def password(context: typer.Context, name: Name, stdin: Stdin = False, json: Json = False) -> None:
    """Give somebody a new password, and print it. Nobody is logged out by this."""
    from .. import passwords

    name = passwords.check_name(name)
    passwords.known(passwords.read(_people(context.obj)), name)
    new = _password(stdin)
    hashed = passwords.hashed(new)
    passwords.change(_people(context.obj), lambda people: passwords.with_hash(people, name, hashed))
    _say_password(name, new, stdin, json, {})


@app.command()
@in_turn
def change(
    context: typer.Context,
    name: Name,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="May administer the hub, or not.")] = None,
    group: Groups = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Takes them out of all groups.")] = False,
    json: Json = False,
) -> None:
    """Change somebody's groups or admin right. New groups replace the old ones. It counts within a minute."""
    from .. import passwords

    name = passwords.check_name(name)
    groups = tuple(passwords.check_group(each) for each in dict.fromkeys(group or ())) if group or no_groups else None

    def edit(people):
        old = passwords.known(people, name)
        return {**people, name: replace(old, admin=old.admin if admin is None else admin,
                                        groups=old.groups if groups is None else groups)}

    new = passwords.change(_people(context.obj), edit)[name]
    if json:
        as_json({"name": name, "admin": new.admin, "groups": new.groups})
    else:
        lines(f"{name}: {'admin' if new.admin else 'no admin'}, groups: {', '.join(new.groups) or 'none'}.")


@app.command()
@in_turn
def relink(context: typer.Context, name: Name, json: Json = False) -> None:
    """Give a name and its files to whoever logs in with it next. For people of an identity service."""
    from .. import passwords
    from ..identity import Subjects

    site, name = context.obj, passwords.check_name(name)
    if site.settings.login == "local":
        raise UserError("With `login: local` a name belongs to whoever knows its password. "
                        f"A new password: mlinfn users password {name}")
    if not Subjects(site.identities).forget(name):
        raise UserError(f"Nobody called {name} has logged in through the identity service yet, so the name is free.")
    if json:
        as_json({"relinked": name})
    else:
        lines(f"Whoever logs in as {name} next is {name} from then on, with all files that are here under this name.",
              "The account of before is logged out at its next look-up, and its labs stop.")  # fmt: skip


def _people(site: Site) -> Path:
    """The file of people with passwords. Raises UserError where people come from an identity service."""
    if site.settings.login != "local":
        raise UserError(f"`login` is {site.settings.login}: people come from the identity service, not from here. "
                        + ELSEWHERE[site.settings.login])
    return site.passwords


def _password(stdin: bool) -> str:
    from .. import passwords

    return passwords.check_password(sys.stdin.readline().rstrip("\r\n")) if stdin else passwords.generated()


def _say_password(name: str, password: str, stdin: bool, json: bool, more: dict) -> None:
    shown = {} if stdin else {"password": password}
    if json:
        as_json({"name": name, **more, **shown})
    elif stdin:
        lines(f"{name} logs in with the password that you gave.")
    else:
        lines(f"user name: {name}", f"password:  {password}", "It is not shown again.")
