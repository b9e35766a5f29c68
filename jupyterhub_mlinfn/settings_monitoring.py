"""The section `monitoring` of mlinfn.yaml."""

from __future__ import annotations

from .settings_types import Model


class Monitoring(Model):
    enabled: bool = True
    """Whether the hub asks Docker what labs use, and tells it and more to who may read its metrics."""
    per_person: bool = True
    """Whether names of people are in what is told. false: the figures of labs are added up by room and image."""
