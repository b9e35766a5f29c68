"""The reference page of the settings, and settings as YAML, both from the models."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from ..settings_words import Place, place_of

TOP = """# Settings

<!-- Made by `mlinfn config schema --markdown` from the models in jupyterhub_mlinfn/settings.py. -->

All keys of `mlinfn.yaml`. None is needed but something to pick, so `images` or another list of them; unknown keys are
mistakes. `mlinfn config check` says all mistakes at once, `mlinfn config show` prints the settings with all defaults.
"""


def as_yaml(data: Any) -> str:
    """Data as YAML in the order it has."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def settings_page(model: type[BaseModel]) -> str:
    """The page: a table of the settings' own keys, then one for each model below, in the order of the keys."""
    return "\n".join([TOP, _table(model), *_sections(model, "##")])


def _sections(model: type[BaseModel], mark: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if inner := _inner(place_of(field)):
            yield f"{mark} {name}\n\n{field.description}\n\n{_table(inner)}"
            yield from _sections(inner, f"{mark}#")


def _inner(where: Place) -> type[BaseModel] | None:
    """The model of a key, or of the items of its list."""
    item = where.below(0)
    return where.model or (item.model if item else None)


def _table(model: type[BaseModel]) -> str:
    head = "| key | what it is | what it may be | default |\n|---|---|---|---|\n"
    return head + "".join(_row(name, field) for name, field in model.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    inner = _inner(place_of(field))
    allowed = f"[see below](#{name})" if inner else _cell(place_of(field).words())
    return f"| `{name}` | {_cell(field.description or '')} | {allowed} | {_default(field, inner)} |\n"


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if field.default is PydanticUndefined:
        return "needed"
    if inner and field.default:
        return ""
    default = to_jsonable_python(field.default)
    return "empty" if default in (None, "", [], {}) else f"`{in_line(default)}`"


def in_line(value: Any) -> str:
    """A value as people write it on one line of YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: ""}[value]
    if isinstance(value, list):
        return "[" + ", ".join(map(in_line, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {in_line(each)}" for key, each in value.items()) + "}"
    return str(value) if value != "" else "''"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
