"""``vitrail models``: what can be built, and how big it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch

from vitrail.errors import ConfigError, nearest
from vitrail.models.flops import cost
from vitrail.models.zoo import build_model, list_models
from vitrail.recipes import RECIPES
from vitrail.settings import ModelsSettings, TrainSettings
from vitrail.verbs.say import say, say_table


@dataclass(frozen=True)
class Facts:
    """A model's size: parameters with 1000 classes (or with MAE's decoder), tokens of a 224-pixel picture."""

    name: str
    parameters: int
    tokens: int
    width: int
    depth: int


def run(settings: ModelsSettings) -> None:
    """List models or recipes."""
    if settings.recipes:
        _list_recipes(settings.json)
        return
    names = [name for name in list_models() if settings.pattern in name]
    if not names:
        raise ConfigError(f"no model's name contains {settings.pattern!r}{nearest(settings.pattern, list_models())}")
    facts = [facts_of(name) for name in names]
    if settings.json:
        print(json.dumps([vars(fact) for fact in facts]))
        return
    say_table("", tuple(vars(facts[0])), [tuple(vars(fact).values()) for fact in facts])


def facts_of(name: str) -> Facts:
    """Count a model without allocating it."""
    with torch.device("meta"):
        model: Any = build_model(name)
    backbone = model.encoder if name.startswith("mae_") else model.backbone
    size = cost(model)
    return Facts(name, size.parameters, size.tokens, backbone.width, backbone.depth)


def _list_recipes(as_json: bool) -> None:
    rows = [
        ("train" if kind is TrainSettings else "pretrain", name, r.model, r.epochs, r.batch_size, r.lr)
        for kind, recipes in RECIPES.items()
        for name, r in recipes.items()
    ]
    columns = ("verb", "recipe", "model", "epochs", "batch size", "lr")
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]))
        return
    say_table("", columns, rows)
    say("every value of a recipe: vitrail train --recipe NAME --help")
