"""What a setting may be, in words: for error messages and for the reference page. Works on any pydantic model."""

from __future__ import annotations

import ipaddress
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

SIMPLE = {
    bool: "true or false",
    int: "a whole number",
    str: "text",
    Path: "a path",
    ipaddress.IPv4Network: "a network such as 192.168.10.0/24 (not the address of a machine in it)",
    Any: "anything",
}


@dataclass(frozen=True)
class Words:
    """Put into a type with Annotated, says what its values look like, such as "a size such as 512M or 8G"."""

    text: str


@dataclass(frozen=True)
class Place:
    """One step of a setting's path: its type, without Annotated, and what was annotated."""

    kind: Any
    notes: tuple[Any, ...] = ()

    @property
    def model(self) -> type[BaseModel] | None:
        """The model whose keys stand here, if there is one."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, BaseModel) else None

    @property
    def can_be_empty(self) -> bool:
        """True if nothing may be written, with a meaning of its own."""
        return type(None) in get_args(self.kind)

    def words(self) -> str:
        """What may stand here."""
        said = [note.text for note in self.notes if isinstance(note, Words)]
        return said[0] if said else _words(self.kind, self.notes)

    def words_of_keys(self) -> str:
        """What the keys of this mapping may be."""
        return place(get_args(self.kind)[0]).words()

    def below(self, step: str | int) -> Place | None:
        """The place one step further, or None if the types do not go there."""
        for kind in _alternatives(self.kind):
            if found := _below(kind, step):
                return found
        return None


def place(annotation: Any, notes: tuple[Any, ...] = ()) -> Place:
    """The place that a type annotation describes."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        notes = (*notes, *more)
    return Place(annotation, notes)


def place_of(field: FieldInfo) -> Place:
    """The place that a model's field describes."""
    return place(field.annotation, tuple(field.metadata))


def reach(model: type[BaseModel], path: tuple[str | int, ...]) -> Place | None:
    """The place at a path, such as ("images", 2, "memory"), or None where the model has none."""
    here: Place | None = place(model)
    for step in path:
        here = here.below(step) if here else None
    return here


def _alternatives(kind: Any) -> tuple[Any, ...]:
    is_union = get_origin(kind) in (Union, types.UnionType)
    return tuple(each for each in get_args(kind) if each is not type(None)) if is_union else (kind,)


def _below(kind: Any, step: str | int) -> Place | None:
    here = place(kind)
    if here.model:
        field = here.model.model_fields.get(step) if isinstance(step, str) else None
        return place_of(field) if field else None
    if get_origin(here.kind) is tuple and isinstance(step, int):
        return place(get_args(here.kind)[0])
    if get_origin(here.kind) in (dict, Mapping):
        return place(get_args(here.kind)[1])
    return None


def _words(kind: Any, notes: tuple[Any, ...]) -> str:
    if len(_alternatives(kind)) > 1 or _alternatives(kind) != (kind,):
        return ", or ".join([*(place(each).words() for each in _alternatives(kind)), "empty"])
    if kind is int:
        return _whole_number(notes)
    if get_origin(kind) is Literal:
        return "one of: " + ", ".join(map(str, get_args(kind)))
    return SIMPLE.get(kind) or _of_many(kind)


def _whole_number(notes: tuple[Any, ...]) -> str:
    low = next((note.ge for note in notes if isinstance(note, Ge)), None)
    high = next((note.le for note in notes if isinstance(note, Le)), None)
    parts = [f"from {low}" if low is not None else "", f"to {high}" if high is not None else ""]
    return " ".join(["a whole number", *filter(None, parts)])


def _of_many(kind: Any) -> str:
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return f"a list, each {place(inner[0]).words()}"
    if get_origin(kind) in (dict, Mapping):
        return f"a mapping from {place(inner[0]).words()} to {place(inner[1]).words()}"
    return "a mapping with the keys " + ", ".join(getattr(kind, "model_fields", ()))
