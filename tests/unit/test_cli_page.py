"""The page of the `mlinfn` command names every verb with the options that it has."""

import re

import typer
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import app

PAGE = (CHECKOUT / "docs/reference/cli.md").read_text()
ROWS = {re.sub(r"[ \[]*\b[A-Z]{2,}\b.*", "", verb): (verb, what)
        for verb, what in re.findall(r"^\| `(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)}  # fmt: skip
"""Verb, such as "users add", -> the verb with its arguments, and what is said about it."""


def verbs():
    """Verb -> its click command."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {verb}": each for verb, each in (inner or {}).items()}
        if not inner or command.invoke_without_command:
            found[name] = command
    return found


def test_every_verb_is_on_the_page_and_no_other():
    assert set(ROWS) == set(verbs())


def test_the_page_shows_the_arguments_that_verbs_take():
    for verb, command in verbs().items():
        wanted = [_written(each) for each in command.params if each.param_type_name == "argument"]
        assert ROWS[verb][0] == " ".join([verb, *wanted]), verb


def _written(argument) -> str:
    name = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs == -1 else name


def test_every_verb_answers_in_json_where_it_is_asked_to():
    for verb, command in verbs().items():
        assert any("--json" in each.opts for each in command.params), verb


def test_the_page_tells_every_option_and_no_other():
    for verb, command in verbs().items():
        there = {word for each in command.params if each.param_type_name == "option"
                 for word in (*each.opts, *each.secondary_opts) if word.startswith("--")} - {"--json", "--help"}
        told = set(re.findall(r"--[a-z-]+", ROWS[verb][1])) - {"--json"}
        assert told == there, verb


def test_every_verb_and_every_option_has_help():
    for verb, command in verbs().items():
        assert command.help, verb
        assert not command.get_short_help_str(65).endswith("..."), f"{verb}: the first sentence is too long for a list."
        for each in command.params:
            assert getattr(each, "help", None), f"{verb} {each.name}"


def test_only_the_module_of_output_draws_with_rich():
    texts = {each.name: each.read_text() for each in (CHECKOUT / "jupyterhub_mlinfn/cli").glob("*.py")}
    assert [name for name, text in texts.items() if re.search(r"(?m)^\s*(from|import) rich", text)] == ["output.py"]


REAL = {
    "tests/stack/test_cli_stack.py": (
        "init", "prepare", "up", "down", "logs", "status", "doctor", "alerts", "gpus", "labs", "labs list",
        "labs stop", "images list", "images build", "config check", "config show", "config schema", "users add",
        "users list", "users password", "users change", "users remove", "users relink", "iam client", "demo passwords",
        "backup status"),
    "tests/stack/test_backups.py": ("backup run", "backup list", "backup restore", "backup key", "backup check",
                                    "backup forget", "backup adopt", "restore"),
    "tests/docker/test_images_cli.py": ("images pull",),
    "tests/hub/test_iam_check.py": ("iam check",),
    "tests/stack/test_monitoring.py": ("alerts test",),
}  # fmt: skip
"""Where each verb works on something real: a stack, an engine, an identity service."""


def test_every_verb_is_tried_on_something_real():
    assert sorted(verb for those in REAL.values() for verb in those) == sorted(verbs())
    for name, those in REAL.items():
        text = (CHECKOUT / name).read_text()
        assert [verb for verb in those if f'"{verb.split()[-1]}"' not in text and f"mlinfn {verb}" not in text] == []
