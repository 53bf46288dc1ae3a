"""Every task by its name. Nothing here imports torch before a task is asked for its work."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

from vitrail.errors import ConfigError, nearest
from vitrail.settings.training import LearningSettings, PretrainSettings, TrainSettings
from vitrail.tasks.classification.spec import CLASSIFY
from vitrail.tasks.detection.spec import DETECT
from vitrail.tasks.mae.spec import MAE
from vitrail.tasks.mpp.spec import MPP
from vitrail.tasks.segmentation.spec import SEGMENT
from vitrail.tasks.simmim.spec import SIMMIM
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.supervised import Supervised
    from vitrail.tasks.task import Task
    from vitrail.weights.description import Description

TASKS: dict[str, Spec] = {spec.name: spec for spec in (CLASSIFY, DETECT, SEGMENT, MAE, MPP, SIMMIM)}
"""What a model can be trained for: with labels (`vitrail train`), or without (`vitrail pretrain`)."""


def names(verb: str) -> tuple[str, ...]:
    """Return the tasks that a command learns."""
    return tuple(name for name, spec in TASKS.items() if spec.verb == verb)


def find_spec(name: str, verb: str = "") -> Spec:
    """Return a task's entry.

    Args:
        name: what ``--task`` or ``--objective`` calls it.
        verb: the command that is to learn it; "" for any.

    Raises:
        ConfigError: there is no such task; the nearest right names are given.
    """
    known = names(verb) if verb else tuple(TASKS)
    if name not in known:
        what = "objective" if verb == "pretrain" else "task"
        raise ConfigError(f"there is no {what} {name!r}{nearest(name, known)}; there are {', '.join(known)}")
    return TASKS[name]


def find_task(name: str) -> Task:
    """Return a task by the name that ``--task``, ``--objective`` or a checkpoint gives it.

    Raises:
        ConfigError: there is no such task.
    """
    return _loaded(find_spec(name))


@functools.cache
def _loaded(spec: Spec) -> Task:
    return spec.load()


def task_of(description: Description) -> Task:
    """Return what a checkpoint's model was trained for."""
    return find_task(description.task)


def task_to_ask(checkpoint: str, description: Description) -> Supervised:
    """Return what a model was trained for, if that says something of images.

    Raises:
        ConfigError: it says nothing.
    """
    task = task_of(description)
    task.check_answers(checkpoint, description)
    return cast("Supervised", task)


def task_to_learn(settings: LearningSettings) -> Task:
    """Return the task that settings of a run are of.

    Raises:
        ConfigError: they name another one.
    """
    named = settings.objective if isinstance(settings, PretrainSettings) else cast(TrainSettings, settings).task
    spec = find_spec(named)
    if not isinstance(settings, spec.settings):
        raise ConfigError(f"{spec.option} needs {spec.settings.__name__}, and these are {type(settings).__name__}")
    return find_task(named)


__all__ = ["TASKS", "find_spec", "find_task", "names", "task_of", "task_to_ask", "task_to_learn"]
