"""Heads that answer for every place of an image: the settings `Dense` as the options of such a head, and back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

from vitrail.coerce import coerce, from_json
from vitrail.config import to_json
from vitrail.errors import ConfigError
from vitrail.heads.spec import ModelSpec
from vitrail.models.backbone import Backbone
from vitrail.settings import Dense


def dense_options(dense: Any, num_classes: int) -> dict[str, Any]:
    """Return the options of the head that settings name.

    Args:
        dense: a `Dense`, or the part of it that a task has.
        num_classes: K, without a background.
    """
    return {name: value for name, value in to_json(dense).items() if name != "head"} | {"num_classes": num_classes}


def dense_of(spec: ModelSpec) -> Dense:
    """Return the settings that the head of a model was made of.

    Raises:
        ConfigError: its options are none of such a head.
    """
    options = {name: value for name, value in spec.head_options.items() if name != "num_classes"}
    return from_json(Dense, {**options, "head": spec.head})


def builder(head: str, module: str) -> Callable[[Backbone, dict[str, Any]], nn.Module]:
    """Return what puts a head on a backbone, from the options that `dense_options` makes.

    Args:
        head: its name.
        module: has ``build(backbone, dense, num_classes)``; imported when a model is built, as torchvision's detection
            takes seconds.
    """

    def build(backbone: Backbone, options: dict[str, Any]) -> nn.Module:
        dense = dense_of(ModelSpec("", head=head, head_options=options))
        num_classes = coerce("num_classes", int, options.get("num_classes"))
        check_shape(dense)
        if num_classes < 1:
            raise ConfigError(f"num_classes must be 1 or more, not {num_classes}")
        return importlib.import_module(module).build(backbone, dense, num_classes)

    return build


def check_shape(dense: Dense) -> None:
    """Check the numbers that every head is made of.

    Raises:
        ConfigError: one of them cannot work.
    """
    for name in ("width", "hidden", "proposals", "regions", "samples", "queries", "layers"):
        if getattr(dense, name) < 1:
            raise ConfigError(f"--dense.{name} must be 1 or more, not {getattr(dense, name)}")
    for name in ("windows", "auxiliary"):
        if getattr(dense, name) < 0:
            raise ConfigError(f"--dense.{name} must be 0 or more, not {getattr(dense, name)}")
    if dense.anchor_size <= 0:
        raise ConfigError(f"--dense.anchor-size must be above 0, not {dense.anchor_size:g}")
    if not 0 <= dense.dropout < 1:
        raise ConfigError(f"--dense.dropout must be at least 0 and below 1, not {dense.dropout:g}")
