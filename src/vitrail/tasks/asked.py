"""What a caller in Python asks for: settings of one task, of a run on top of a recipe's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vitrail.config import make, names_of, replace
from vitrail.errors import ConfigError
from vitrail.meaning import check_meant
from vitrail.tasks.recipes import VERBS, find_recipe, spec_asked, verb_of
from vitrail.tasks.registry import TASKS
from vitrail.tasks.spec import Spec

T = TypeVar("T")


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
    _check_owned(kind, spec, settings)
    asked = make(spec.settings, data=data, recipe=recipe, **settings)
    base = find_recipe(kind, asked.recipe, asked.weights, **{_choice(spec): spec.name})
    changed = replace(base, data=data, recipe=recipe, **settings)
    check_meant(changed, base)
    return changed


def answer_settings(kind: type[T], spec: Spec, **settings: Any) -> T:
    """Return the settings of a command that asks a trained model.

    Args:
        kind: `EvaluateSettings` or `PredictSettings`.
        spec: the task that the model was trained for.
        **settings: by name.

    Raises:
        ConfigError: one is unknown, of another task, out of range, or means nothing beside the others.
    """
    _check_owned(kind, spec, settings)
    asked = make(spec.settings_for(kind) or kind, **settings)
    check_meant(asked)
    return asked


def check_own(settings: Any, shared: type, spec: Spec) -> None:
    """Refuse settings that are of another task than a model.

    Raises:
        ConfigError: they are.
    """
    own = spec.settings_for(shared)
    if own is not None and not isinstance(settings, own):
        raise ConfigError(f"{spec.noun} needs {own.__name__}, and these are {type(settings).__name__}")


def owner_of(name: str, spec: Spec, shared: type) -> str:
    """Return what to call the tasks that have a setting which a task lacks; "" where it has it, or none has.

    Args:
        name: dotted.
        spec: the task that is asked for.
        shared: the class of what the command can be told of every task.
    """
    if _has(spec.settings_for(shared) or shared, name):
        return ""
    others = [(other, other.settings_for(shared)) for other in TASKS.values() if other is not spec]
    owners = [other for other, theirs in others if theirs is not None and _has(theirs, name)]
    return " or ".join(other.option if shared in VERBS else other.noun for other in owners)


def _check_owned(shared: type, spec: Spec, settings: Mapping[str, Any]) -> None:
    for name in _dotted(settings):
        if owner := owner_of(name, spec, shared):
            raise ConfigError(f"{name} is a setting of {owner}, and means nothing to {spec.noun}; leave it out")


def _has(kind: type, name: str) -> bool:
    return any(known == name or known.startswith(f"{name}.") for known in names_of(kind))


def _choice(spec: Spec) -> str:
    return "task" if spec.verb == "train" else "objective"


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


__all__ = ["answer_settings", "check_own", "owner_of", "settings_asked"]
