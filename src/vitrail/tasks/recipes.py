"""Settings that are known to work, under a name: those measured here, and those the papers published.

Values only, of each task in its own folder; nothing here imports torch.
"""

from __future__ import annotations

from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.settings import PretrainSettings, TrainSettings
from vitrail.tasks.registry import TASKS, find_spec

VERBS: dict[type, str] = {TrainSettings: "train", PretrainSettings: "pretrain"}


def recipes_of(verb: str) -> dict[str, Any]:
    """Return the recipes of all tasks that a command learns, by name."""
    return {name: recipe for spec in TASKS.values() if spec.verb == verb for name, recipe in spec.recipes.items()}


RECIPES: dict[type, dict[str, Any]] = {kind: recipes_of(verb) for kind, verb in VERBS.items()}


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
    if name != "auto":
        return name
    asked = (objective or "mae") if kind is PretrainSettings else (task or "classify")
    return find_spec(asked, VERBS[kind]).auto(weights)
