"""Reading a YAML file into a model, with everything that is wrong in it said at once: file, line, path, what may be."""

from __future__ import annotations

import contextlib
import copy
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from .errors import OperatorError
from .settings_words import Place, reach

Steps = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

CONTRADICTIONS = "contradictions"
"""Type of the error of a model whose values are right one by one but not together. Its context's `found` holds a pair
of steps (from that model) and text for each."""

NESTED = 4
"""How often the rest is looked at again: models within models within the settings, and one more."""

MARKS = ("[key]", "[word]", "[list]")
"""Steps in pydantic's paths that are in no file."""

STAND_IN = "stand-in"
"""Takes the place of a wrong value that cannot be left out, to see what else is wrong."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, at a line counted from 1."""

    line: int
    path: str
    text: str
    is_contradiction: bool = field(default=False, compare=False)


@dataclass
class Document:
    """A YAML file as data, with the line of each path and what YAML itself would hide: keys written twice."""

    data: Any
    lines: dict[Steps, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, steps: Steps) -> int:
        """The line of a path or, where it is not written, of what it would be in."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps, 1)


def read(path: Path, model: type[M], what: str = "The settings") -> M:
    """The model of a file. Raises OperatorError with all that is wrong with `what`."""
    document = parsed(path, text_of(path))
    problems = set(document.problems)
    found = None
    try:
        found = model.model_validate({} if document.data is None else document.data)
    except ValidationError as refused:
        problems.update(problems_of(document, model, refused))
        problems.update(_contradictions_in_the_rest(document, model, refused))
    if problems:
        raise OperatorError(report(path, problems, what))
    return found


def report(path: Path, problems: Iterable[Problem], what: str = "The settings") -> str:
    """All problems, one a line in the order of the file, under a line that counts them."""
    lines = [f"{path}:{each.line}: {each.path + ': ' if each.path else ''}{each.text}" for each in sorted(problems)]
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return "\n".join([f"{what} have {count}:", *lines])


def text_of(path: Path) -> str:
    """What is in the file. Raises OperatorError if it cannot be read as text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path} is not text in UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        hint = " Run this as root (sudo)." if isinstance(error, PermissionError) else ""
        raise OperatorError(f"{path} cannot be read: {error.strerror}.{hint}") from None


def parsed(path: Path, text: str) -> Document:
    """The file as data with lines. Raises OperatorError where it is not YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # found below, all of them and with both lines
    try:
        tree = yaml.compose(text)
        document = Document(YAML_data(text))
    except MarkedYAMLError as error:
        raise OperatorError(_not_yaml(path, error)) from None
    except (YAMLError, ValueError) as error:
        raise OperatorError(f"{path} is not YAML: {error}") from None
    if tree is not None:
        _walk(tree, (), document, set())
    return document


def YAML_data(text: str) -> Any:
    """The plain data of a YAML text; of a key written twice, the first."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True
    return yaml.load(text)


def _not_yaml(path: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    if isinstance(error, ConstructorError):
        return f"{path}:{mark.line + 1}: {error.problem}."
    hint = " Indent with spaces, not with tabs." if "\\t" in str(error.problem) else (
        " Usual causes: a missing space after a colon, a quote that is not closed, or a line indented differently from "
        "its neighbours.")
    return f"{path}:{mark.line + 1 if mark else 1}: this is not YAML: {error.problem or error.context}.{hint}"


def _walk(node: Node, steps: Steps, document: Document, seen: set[int]) -> None:
    document.lines.setdefault(steps, node.start_mark.line + 1)
    if id(node) in seen:  # an alias: its lines are those of the anchor
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*steps, index), document, seen)
    if isinstance(node, MappingNode):
        _walk_mapping(node, steps, document, seen)


def _walk_mapping(node: MappingNode, steps: Steps, document: Document, seen: set[int]) -> None:
    for key, value in node.value:
        here, line = (*steps, str(key.value)), key.start_mark.line + 1
        if here in document.lines:
            text = f"written twice, on line {document.lines[here]} already. Keep one of them."
            document.problems.append(Problem(line, shown(here), text))
            continue
        document.lines[here] = line
        _walk(value, here, document, seen)


def problems_of(document: Document, model: type[BaseModel], refused: ValidationError) -> Iterator[Problem]:
    """What pydantic refused, in words, each with its line."""
    for error in refused.errors(include_url=False):
        steps = _written(error["loc"])
        if error["type"] == "invalid_key":
            steps = (*steps[:-1], str(steps[-1]))
        if error["type"] == CONTRADICTIONS:
            yield from _contradictions(document, steps, error["ctx"]["found"])
        elif error["type"] != "too_short" or not error["input"]:  # else its wrong items are not counted, but named
            yield Problem(document.line(steps), shown(steps), _text(error, steps, model))


def _contradictions(document: Document, steps: Steps, found: Iterable[tuple[Steps, str]]) -> Iterator[Problem]:
    for more, text in found:
        here = (*steps, *more)
        yield Problem(document.line(here), shown(here), text, is_contradiction=True)


def _contradictions_in_the_rest(document: Document, model: type[M], refused: ValidationError) -> Iterator[Problem]:
    """What does not fit together among the values that are right by themselves; pydantic looks only if all are.

    Leaves out what was refused and asks again, from the inner models outwards, as deep as models are nested.
    """
    rest = {"": copy.deepcopy(document.data)}
    for _ in range(NESTED):
        for error in refused.errors(include_url=False):
            with contextlib.suppress(LookupError, TypeError, ValueError):  # left out already, with what it was in
                _leave_out(rest, model, _written(error["loc"]))
        try:
            model.model_validate(rest[""])
            return
        except ValidationError as more:
            refused = more
        yield from (each for each in problems_of(document, model, refused) if each.is_contradiction)


def _leave_out(rest: dict, model: type[BaseModel], steps: Steps) -> None:
    """Take the key that a path goes through last out of the data, or put a stand-in where there must be one."""
    here = reach(model, steps)
    if here and here.model and isinstance(steps[-1], int):
        _at(rest[""], steps[:-1])[steps[-1]] = _stand_ins(here.model, steps)
        return
    end = max(end for end in range(len(steps)) if (at := reach(model, steps[:end])) and at.model)
    owner = _at(rest[""], steps[:end])
    for key in [key for key in owner if key == steps[end] or not isinstance(key, str)]:
        del owner[key]
    owner.update(_stand_ins(reach(model, steps[:end]).model, steps[:end], only=steps[end]))


def _stand_ins(model: type[BaseModel], steps: Steps, only: str | int = "") -> dict[str, str]:
    text = "-".join([STAND_IN, *map(str, steps)])
    return {name: text for name, each in model.model_fields.items() if each.is_required() and only in ("", name)}


def _at(data: Any, steps: Steps) -> Any:
    for step in steps:
        data = data[step]
    return data


def _written(steps: Steps) -> Steps:
    """The path as it is in the file: pydantic marks with steps of its own the key of a mapping, and which of several
    kinds a value was taken for."""
    return tuple(step for step in steps if step not in MARKS)


def shown(steps: Steps) -> str:
    """A path as people write it: images[2].memory."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _text(error: Mapping[str, Any], steps: Steps, model: type[BaseModel]) -> str:
    kind, given = error["type"], error.get("input")
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown(str(steps[-1]), reach(model, steps[:-1]))
    here = reach(model, steps[:-1] if "[key]" in error["loc"] else steps)
    if kind == "missing":
        return f"is missing. It is {here.words()}." if here else "is missing."
    if given is None and here and not here.can_be_empty:
        return f"is empty. Write {here.words()}, or remove the line."
    return _refused(error, given, here)


def _refused(error: Mapping[str, Any], given: Any, here: Place | None) -> str:
    if error["type"] == "too_short":
        return "is an empty list. Write at least one, or remove the line."
    if "[key]" in error["loc"]:
        return f"the key {_given(given)} has to be {here.words_of_keys() if here else 'another'}."
    return f"this is {_given(given)}, but it has to be {here.words() if here else error['msg']}."


def _given(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown(key: str, place: Place | None) -> str:
    keys = list(place.model.model_fields) if place and place.model else []
    close = difflib.get_close_matches(key.lower().replace("-", "_"), keys, n=1, cutoff=0.6)
    if close:
        return f"there is no such key. Did you mean `{close[0]}`?"
    return f"there is no such key. There is: {', '.join(keys)}."
