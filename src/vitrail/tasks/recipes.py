"""Settings that are known to work, under a name: those measured here, and those the papers published.

Values only; nothing here imports torch.
"""

from __future__ import annotations

import typing
from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.settings import PretrainSettings, TrainSettings
from vitrail.tasks.classification.recipes import SUPERVISED_RECIPES
from vitrail.tasks.classification.swin_recipes import SWIN_RECIPES
from vitrail.tasks.detection.recipes import DETECTION_RECIPES
from vitrail.tasks.mae.recipes import MAE_RECIPES
from vitrail.tasks.mpp.recipes import MPP_RECIPES
from vitrail.tasks.origin import pretrained_here
from vitrail.tasks.segmentation.recipes import SEGMENTATION_RECIPES
from vitrail.tasks.simmim.recipes import SIMMIM_FINETUNING, SIMMIM_RECIPES

RECIPES: dict[type, dict[str, Any]] = {
    TrainSettings: SUPERVISED_RECIPES | SWIN_RECIPES | SIMMIM_FINETUNING | DETECTION_RECIPES | SEGMENTATION_RECIPES,
    PretrainSettings: MAE_RECIPES | MPP_RECIPES | SIMMIM_RECIPES,
}

# With weights or without, there is one small-data recipe for each of these.
DENSE_RECIPES = {"detect": "detect_small", "segment": "segment_small"}


def find_recipe(
    kind: type, name: str, weights: str | None = None, objective: str | None = None, task: str | None = None
) -> Any:
    """Return the settings a recipe stands for; ``data`` in them is still empty.

    Args:
        kind: `TrainSettings` or `PretrainSettings`.
        name: the recipe's name; "auto" takes the small-data recipe for what is to be done.
        weights: where the weights to start from are, if any.
        objective: what is to be learned without labels; mae by default.
        task: what is to be learned with labels; classify by default.

    Raises:
        ConfigError: no such recipe or objective; the nearest right names are given.
    """
    recipes = RECIPES[kind]
    name = recipe_name(kind, name, weights, objective, task)
    if name not in recipes:
        raise ConfigError(f"there is no recipe {name!r}{nearest(name, recipes) or '.'} All: {', '.join(recipes)}")
    return recipes[name]


def recipe_name(
    kind: type, name: str, weights: str | None = None, objective: str | None = None, task: str | None = None
) -> str:
    """Return the name of a recipe: of the one that "auto" stands for, else as given; arguments as of `find_recipe`."""
    if name == "auto" and kind is PretrainSettings:
        return _small_recipe(objective or "mae")
    return DENSE_RECIPES.get(task or "", _label_recipe(weights)) if name == "auto" else name


def _label_recipe(weights: str | None) -> str:
    """Return the name of the recipe for training a classifier from these weights, or from none."""
    if weights is None:
        return "scratch"
    encoder = pretrained_here(weights)
    if encoder is None:
        return "finetune"
    return "swin_finetune_small" if "swin" in encoder else "finetune_small"


def _small_recipe(objective: str) -> str:
    """Return the name of the recipe for a few thousand pictures."""
    objectives = typing.get_args(typing.get_type_hints(PretrainSettings)["objective"])
    if objective not in objectives:
        known = nearest(objective, objectives) or f"; there are {' and '.join(objectives)}"
        raise ConfigError(f"there is no objective {objective!r}{known}")
    return f"{objective}_small"
