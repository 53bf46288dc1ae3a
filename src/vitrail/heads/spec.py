"""What a model is made of: a backbone by its name, and the head on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelSpec:
    """What it takes to build a model again: `vitrail.heads.registry.build` does.

    Attributes:
        backbone: a key of `vitrail.models.registry.BACKBONES`.
        backbone_options: fields of the backbone's config that differ from what its name stands for.
        head: a key of `vitrail.heads.registry.HEADS`; None of a bare backbone.
        head_options: what the head is built with.
    """

    backbone: str
    backbone_options: dict[str, Any] = field(default_factory=dict)
    head: str | None = None
    head_options: dict[str, Any] = field(default_factory=dict)
