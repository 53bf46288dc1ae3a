"""What a caller in Python asks a run for: the settings of its task, on top of a recipe's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitrail.config import make, names_of, replace
from vitrail.errors import ConfigError
from vitrail.meaning import check_meant
from vitrail.tasks.recipes import find_recipe, spec_asked, verb_of
from vitrail.tasks.registry import TASKS
from vitrail.tasks.spec import Spec


def settings_asked(kind: type, data: str | Path, recipe: str, settings: Mapping[str, Any]) -> Any:
    """Return the settings of a run.

    Args:
        kind: `TrainSettings` or `PretrainSettings`.
        data: what is learned from.
        recipe: the settings to begin with.
        settings: those that differ, by name; nested ones as dicts.

    Raises:
        ConfigError: one is unknown, of another task, out of range, or means nothing beside the others.
    """
    verb = verb_of(kind)
    named = settings.get("task" if verb == "train" else "objective")
    spec = spec_asked(verb, named if isinstance(named, str) else None, recipe)
    for name in _dotted(settings):
        if owner := owner_of(name, spec):
            raise ConfigError(f"{name} is a setting of {owner}, and means nothing to {spec.noun}; leave it out")
    asked = make(spec.settings, data=data, recipe=recipe, **settings)
    base = find_recipe(kind, asked.recipe, asked.weights, **{_choice(spec): spec.name})
    changed = replace(base, data=data, recipe=recipe, **settings)
    check_meant(changed, base)
    return changed


def owner_of(name: str, spec: Spec) -> str:
    """Return how to ask for the tasks that have a setting which a task lacks; "" where it has it, or none has.

    Args:
        name: dotted.
        spec: the task that is asked for.
    """
    if any(known == name or known.startswith(f"{name}.") for known in names_of(spec.settings)):
        return ""
    others = [other for other in TASKS.values() if other.verb == spec.verb and other is not spec]
    owners = [
        other.option
        for other in others
        if any(known == name or known.startswith(f"{name}.") for known in names_of(other.settings))
    ]
    return " or ".join(owners)


def _choice(spec: Spec) -> str:
    return "task" if spec.verb == "train" else "objective"


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


__all__ = ["owner_of", "settings_asked"]
