"""Settings that are known to work, under a name: those measured here, and those the papers published.

Values only, of each task in its own folder; nothing here imports torch.
"""

from __future__ import annotations

from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.settings.training import PretrainSettings, TrainSettings
from vitrail.tasks.registry import TASKS, find_spec, names
from vitrail.tasks.spec import Spec

VERBS: dict[type, str] = {TrainSettings: "train", PretrainSettings: "pretrain"}


def recipes_of(verb: str) -> dict[str, Any]:
    """Return the recipes of all tasks that a command learns, by name."""
    return {name: recipe for spec in TASKS.values() if spec.verb == verb for name, recipe in spec.recipes.items()}


RECIPES: dict[type, dict[str, Any]] = {kind: recipes_of(verb) for kind, verb in VERBS.items()}


def verb_of(kind: type) -> str:
    """Return the command that a settings class is of, a task's own or what all of them share."""
    return next(verb for shared, verb in VERBS.items() if issubclass(kind, shared))


def spec_asked(verb: str, task: str | None = None, recipe: str = "auto") -> Spec:
    """Return the task that is asked for: by its name, else by a recipe of its, else the first that a command learns.

    Raises:
        ConfigError: there is no such task.
    """
    if task is not None:
        return find_spec(task, verb)
    owners = [spec for spec in TASKS.values() if spec.verb == verb and recipe in spec.recipes]
    return owners[0] if owners else find_spec(names(verb)[0])


def find_recipe(
    kind: type, name: str, weights: str | None = None, objective: str | None = None, task: str | None = None
) -> Any:
    """Return the settings a recipe stands for; ``data`` in them is still empty.

    Args:
        kind: `TrainSettings` or `PretrainSettings`.
        name: the recipe's name; "auto" takes the small-data recipe for what is to be done.
        weights: where the weights to start from are, if any.
        objective: what is to be learned without labels; by default what the recipe is for, else mae.
        task: what is to be learned with labels; by default what the recipe is for, else classify.

    Raises:
        ConfigError: no such recipe or objective, or one of another task; the nearest right names are given.
    """
    spec = spec_asked(verb_of(kind), objective or task, name)
    found = name if name != "auto" else spec.auto(weights)
    if found in spec.recipes:
        return spec.recipes[found]
    every = recipes_of(spec.verb)
    if found in every:
        owner = spec_asked(spec.verb, recipe=found)
        raise ConfigError(f"the recipe {found} is for {owner.option}, not for {spec.option}")
    raise ConfigError(f"there is no recipe {found!r}{nearest(found, every) or '.'} All: {', '.join(every)}")


def recipe_name(
    kind: type, name: str, weights: str | None = None, objective: str | None = None, task: str | None = None
) -> str:
    """Return the name of a recipe: of the one that "auto" stands for, else as given; arguments as of `find_recipe`."""
    return name if name != "auto" else spec_asked(verb_of(kind), objective or task).auto(weights)
