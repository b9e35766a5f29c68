"""What the pages name is there: commands with their options, tests, files, labels, calls of REST, settings."""

from __future__ import annotations

import re
import runpy
import shlex

import pytest
import typer
from support.pages import PAGES, blocks, commands, page, section
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import app
from jupyterhub_mlinfn.settings import Settings

PACKAGE = CHECKOUT / "jupyterhub_mlinfn"
MLINFN = typer.main.get_command(app)
PLACEHOLDER = re.compile(r"[A-Z]{3,}$")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))


def found(words: list[str]) -> tuple:
    """The command that words name, and what is left of them. Raises AssertionError if there is none."""
    command, left = MLINFN, list(words)
    known = options_of(command)
    while left and hasattr(command, "commands"):
        if left[0].startswith("--"):
            assert left[0] in known, f"no option {left[0]}"
            del left[:2 if left[0] == "--config" else 1]
        elif left[0] in command.commands:
            command = command.commands[left.pop(0)]
        else:
            assert PLACEHOLDER.match(left[0]), f"no verb {left[0]}"
            return None, []
    return command, left


def options_of(command) -> set[str]:
    return {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}


@each_page
def test_commands_are_verbs_with_options_that_exist(path):
    for words in commands(path):
        command, left = found(words)
        wrong = [word for word in left if word.startswith("--") and word.partition("=")[0] not in options_of(command)]
        assert not wrong, f"mlinfn {shlex.join(words)}: no {wrong}"


@each_page
def test_commands_in_blocks_are_whole(path):
    for block in blocks(path.read_text(), "sh"):
        for line in re.findall(r"^(?:sudo )?mlinfn (.+)$", block.text, re.MULTILINE):
            command, left = found(shlex.split(line, comments=True))
            assert command, line
            command.make_context("mlinfn", left)


def test_a_command_that_is_not_there_would_be_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("First `mlinfn frob`, then\n\n```sh\nsudo mlinfn status --colour  # or not\n```\n")
    assert list(commands(path)) == [["status", "--colour"], ["frob"]]
    with pytest.raises(AssertionError, match="status --colour"):
        test_commands_are_verbs_with_options_that_exist(path)


def test_threats_name_tests_that_exist():
    rows = [line.split(" | ") for line in section(page("SECURITY.md"), "Who tries what").splitlines()
            if line.startswith("| ")][1:]  # fmt: skip
    assert len(rows) > 20
    named = [re.findall(r"`(test_\w+)`", row[3]) for row in rows]
    assert all(named)
    there = "\n".join(path.read_text() for path in CHECKOUT.glob("tests/*/test_*.py"))
    tests = set(re.findall(r"^(?:async )?def (test_\w+)", there, re.MULTILINE))
    assert {name for each in named for name in each} - tests == set()


@each_page
def test_files_of_the_repository_are_where_pages_say(path):
    roots = "tests|docs|images|config|compose|grafana|benchmarks|install.d|jupyterhub_mlinfn"
    for name in re.findall(rf"`((?:{roots})/[\w./*-]*)`", path.read_text()):
        assert re.search("[A-Z]{3,}", name) or any(CHECKOUT.glob(name.rstrip("/"))), name


def test_modules_are_where_the_design_says():
    for name in re.findall(r"`([\w/]+\.py)`", page("docs/explanation/design.md")):
        assert (CHECKOUT / name).is_file() or (PACKAGE / name).is_file(), name


def test_labels_are_those_that_are_written_and_read():
    sources = [*PACKAGE.rglob("*.py"), CHECKOUT / "compose/compose.yaml", CHECKOUT / "images/builder.py"]
    words = r"(?:it\.infn\.mlinfn\.|\{LABELS\}|\{prefix\})([a-z]+)\b|hub\.jupyter\.org/(\w+)"
    used = {"".join(found) for path in sources for found in re.findall(words, path.read_text())}
    rows = r"^\| `(?:it\.infn\.mlinfn\.|hub\.jupyter\.org/)(\w+)` \|"
    told = re.findall(rows, page("docs/reference/labels.md"), re.MULTILINE)
    assert sorted(told) == sorted(used)


def test_page_of_rest_is_made_of_what_answers():
    rest = runpy.run_path(str(CHECKOUT / "docs/rest.py"))
    assert rest["page"]() == page("docs/reference/rest.md"), "run: .venv/bin/python docs/rest.py"
    handlers = {name for path in PACKAGE.rglob("*.py")
                for name in re.findall(r"^class (\w+)\(APIHandler\b", path.read_text(), re.MULTILINE)}  # fmt: skip
    assert {handler.__name__ for _, handler, _ in rest["OF_THE_HUB"]} == handlers


def test_calls_of_the_hub_say_who_may_and_what_is_answered():
    calls = section(page("docs/reference/rest.md"), "The hub").split("### ")[1:]
    assert calls
    for call in calls:
        assert "**Who:**" in call, call
        assert "**Answer:**" in call, call


def test_changes_tell_of_every_key_that_a_site_may_set():
    told = page("CHANGELOG.md")
    assert {name for name in Settings.model_fields if not re.search(rf"`{name}\b", told)} == set()
