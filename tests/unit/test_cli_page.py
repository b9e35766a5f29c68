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
        wanted = [each.metavar or each.name for each in command.params if each.param_type_name == "argument"]
        assert ROWS[verb][0] == " ".join([verb, *wanted]), verb


def test_every_verb_answers_in_json_where_it_is_asked_to():
    for verb, command in verbs().items():
        assert any("--json" in each.opts for each in command.params), verb


def test_the_page_tells_every_option_and_no_other():
    for verb, command in verbs().items():
        there = {word for each in command.params if each.param_type_name == "option"
                 for word in (*each.opts, *each.secondary_opts) if word.startswith("--")} - {"--json", "--help"}
        told = set(re.findall(r"--[a-z-]+", ROWS[verb][1])) - {"--json"}
        assert told == there, verb
