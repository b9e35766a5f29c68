"""Traits that hold the settings' models, so that a plugin in anybody's hub is configured in the same words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from traitlets import TraitError, TraitType

from .settings import Settings


class ModelTrait(TraitType):
    """A field of Settings as a trait: same type, same default, same help. Takes models or what YAML would hold.

    `images = ModelTrait("images")` accepts `[{"slug": "lab", ...}]`.
    """

    def __init__(self, field: str, **arguments: Any):
        info = Settings.model_fields[field]
        self.adapter = TypeAdapter(info.rebuild_annotation())
        self.info_text = f"a value as mlinfn.yaml has it under `{field}`"
        super().__init__(default_value=info.get_default(), help=info.description or "", **arguments)
        self.tag(config=True)

    def validate(self, owner: Any, value: Any) -> Any:
        """The value as models. Raises TraitError naming each problem."""
        if isinstance(value, BaseModel):
            return value
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise TraitError(f"{type(owner).__name__}.{self.name}: {problems}") from error
