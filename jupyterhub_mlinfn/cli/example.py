"""Writing values into the commented mlinfn.yaml, whose lines and comments stay as they are otherwise.

The file has a line for each key: `key: value  # comment`, with a `#` in front where it only shows the default. What is
in it already stays a comment, what is to be set becomes a line that counts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import OperatorError
from ..references import OURS
from ..settings import Settings
from ..settings_errors import parsed, problems_of, report
from .answers import slug

Steps = Sequence[str]
LINE = re.compile(r"#?(?P<key> *[\w-]+:) *(?P<value>.*?) *(?P<comment>#.*)?")
TOP = re.compile(r"#?\w+:")


def with_values(text: str, values: Iterable[tuple[Steps, Any]], source: Path) -> str:
    """The text with each of the values at its path. Raises OperatorError where it has no line for one.

    `source` is named then: a keeper who has changed that file has to go on by hand.
    """
    before, wanted = _settings(text, source, "The settings"), dict(values)
    images = wanted.pop(("images",))
    new = text if _references(before) == list(map(_reference, images)) else _with_images(text, images)
    for path, value in wanted.items():
        new = new if _at(before, path) == value else _with_value(new, path, in_flow(value))
    after = _settings(new, source, "With these answers, the settings")
    lost = [path for path, value in wanted.items() if _at(after, path) != value]
    lost += [("images",)] if _references(after) != list(map(_reference, images)) else []
    if lost:
        raise OperatorError(f"{source} is not as it was shipped: there is no place in it for {'.'.join(lost[0])}. Get "
                            "it back from the release, or write mlinfn.yaml by hand.")  # fmt: skip
    return new


def in_flow(value: Any) -> str:
    """A value as YAML on one line, with quotes only where they are needed."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = True, 1000, False
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").rstrip("\n")


def _settings(text: str, source: Path, what: str) -> dict[str, Any]:
    """The settings in the text, defaults included. Raises OperatorError where they are wrong."""
    document = parsed(source, text)
    try:
        return Settings.model_validate(document.data or {}).model_dump(mode="json")
    except ValidationError as refused:
        raise OperatorError(report(source, set(problems_of(document, Settings, refused)), what)) from None


def _references(settings: dict[str, Any]) -> list[str]:
    return [image["image"] for image in settings["images"]]


def _at(settings: dict[str, Any], path: Steps) -> Any:
    found: Any = settings
    for step in path:
        found = found[step]
    return found


def _with_value(text: str, path: Steps, value: str) -> str:
    lines = text.splitlines()
    start, end = 0, len(lines)
    for depth, key in enumerate(path):
        at = next((n for n in range(start, end) if re.match(rf"#?{'  ' * depth}{key}:", lines[n])), None)
        if at is None:
            return text
        lines[at] = _line(lines[at], value if depth == len(path) - 1 else "")
        start = at + 1
        end = next((n for n in range(start, len(lines)) if TOP.match(lines[n])), len(lines))
    return "\n".join(lines) + "\n"


def _line(line: str, value: str) -> str:
    """The line with that value, its comment in the column where it was, if there is room."""
    found = LINE.fullmatch(line)
    head = f"{found['key']} {value}".rstrip()
    if not found["comment"]:
        return head
    column = found.start("comment") - line.startswith("#")
    return f"{head}  {found['comment']}" if len(head) >= column else head.ljust(column) + found["comment"]


def _with_images(text: str, names: Sequence[str]) -> str:
    """The list of images replaced by these; of ours, the lines that the text has for them."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines, 1) if line.startswith("images:")), 0)
    if not start:
        return text
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith((" ", "-"))), len(lines))
    return "\n".join([*lines[:start], *(f"  - {_entry(lines, name)}" for name in names), *lines[end:]]) + "\n"


def _reference(name: str) -> str:
    return name if "/" in name else OURS + name


def _entry(lines: Sequence[str], name: str) -> str:
    """The item of the list for an image."""
    for line in lines:
        if found := re.search(rf"- (\{{slug: .*\bimage: {re.escape(_reference(name))}\b[,}}].*)", line):
            return found[1]
    short = slug(name)
    return in_flow({"slug": short, "title": short, "image": _reference(name)})
