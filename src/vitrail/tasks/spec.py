"""What is known of a task before any of its work is imported; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vitrail.settings.commands import EvaluateSettings, PredictSettings
from vitrail.settings.training import PretrainSettings, TrainSettings

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Spec:
    """A task's entry in `vitrail.tasks.registry`.

    Attributes:
        name: what ``--task`` or ``--objective`` calls it, and a checkpoint.
        verb: the command that learns it: with labels, or without.
        noun: what a model of it is called in sentences, with its article.
        settings: the class of its settings.
        recipes: settings known to work, by name.
        auto: the name of the recipe where none is asked for, by the weights that a run starts from.
        load: returns the task itself; only this imports torch.
        answers: the classes of what ``vitrail evaluate`` and ``predict`` can be told of a model of it; none where
            such a model says nothing of images.
    """

    name: str
    verb: Literal["train", "pretrain"]
    noun: str
    settings: type[TrainSettings] | type[PretrainSettings]
    recipes: Mapping[str, Any]
    auto: Callable[[str | None], str]
    load: Callable[[], Task]
    answers: tuple[type[EvaluateSettings] | type[PredictSettings], ...] = ()

    @property
    def option(self) -> str:
        """How a command line asks for it."""
        return f"--{'task' if self.verb == 'train' else 'objective'} {self.name}"

    def settings_for(self, shared: type) -> type | None:
        """Return the task's own class of settings of a command, given what the command can be told of every task.

        None where the command does nothing for the task.
        """
        return next((own for own in (self.settings, *self.answers) if issubclass(own, shared)), None)


__all__ = ["Spec"]
