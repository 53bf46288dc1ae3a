"""Settings that are known to work, under a name: those measured here, and those the papers published.

Values only; nothing here imports torch.
"""

from __future__ import annotations

from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.recipes.mae import MAE_RECIPES
from vitrail.recipes.supervised import SUPERVISED_RECIPES
from vitrail.settings import PretrainSettings, TrainSettings

RECIPES: dict[type, dict[str, Any]] = {TrainSettings: SUPERVISED_RECIPES, PretrainSettings: MAE_RECIPES}


def find_recipe(kind: type, name: str, weights: str | None = None) -> Any:
    """Return the settings a recipe stands for; ``data`` in them is still empty.

    Args:
        kind: `TrainSettings` or `PretrainSettings`.
        name: the recipe's name; "auto" takes the small-data recipe for what is to be done.
        weights: where the weights to start from are, if any.

    Raises:
        ConfigError: no such recipe; the nearest right names are given.
    """
    recipes = RECIPES[kind]
    if name == "auto":
        name = "mae_small" if kind is PretrainSettings else "finetune" if weights else "scratch"
    if name not in recipes:
        raise ConfigError(f"there is no recipe {name!r}{nearest(name, recipes)} All: {', '.join(recipes)}")
    return recipes[name]
