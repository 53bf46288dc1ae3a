"""What a task is: the questions that commands ask, each answered in the task's own folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from torch import nn

from vitrail.config import Preprocessing
from vitrail.console import shortened
from vitrail.data.samples import Samples
from vitrail.data.sources import Images, Source
from vitrail.errors import ConfigError
from vitrail.heads.spec import ModelSpec
from vitrail.settings import LookSettings
from vitrail.tasks.inside import draw_weights, without_images
from vitrail.tasks.look_options import check_options
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.spec import Spec
from vitrail.training.interfaces import Batch
from vitrail.training.measure import measure
from vitrail.training.runtime import Runtime
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description
from vitrail.weights.open_any import OpenedModel
from vitrail.weights.weights_file import WeightsFile

Measure = Callable[[nn.Module, Iterable[Batch]], dict[str, float]]
"""Takes a task in evaluation mode and its batches, and returns its metrics, the same ones on every process."""


class Figures(Protocol):
    """What an evaluation found: a dataclass of figures that can also be said in words."""

    def say(self, all_classes: bool = False) -> None:
        """Print tables, of many classes shortened ones unless all are asked for, and a closing line."""
        ...


@dataclass(frozen=True)
class RunContext:
    """What a task learns from: the settings, what is known of the model, the images, and the run folder."""

    settings: Any
    description: Description
    source: Source
    folder: Path


@dataclass(frozen=True)
class Learning:
    """What a run learns and how it is measured.

    Attributes:
        loss: the module around the model whose ``forward`` of a batch returns ``{"loss": ...}``.
        samples: turns images into samples, for training or not.
        measure: turns the loss module and its batches into metrics; by default sums and counts add up.
        balanced: every class is drawn equally often.
    """

    loss: nn.Module
    samples: Callable[[Images, bool], Samples]
    measure: Measure = measure
    balanced: bool = False


@dataclass(frozen=True)
class Measured:
    """The images that a model is measured on.

    Attributes:
        data: what the user called them.
        split: what they are called among these.
        images: the images.
        notes: what the user must know of them, each a sentence.
        of_source: what was said when they were opened.
        held_out: validation images that are not among them and that the model did not learn from; None without any.
        holds: what these images were to the model's run (``train``, ``validation``, ``test``, ``unused``, ``new``).
    """

    data: str
    split: str
    images: Images
    notes: tuple[str, ...] = ()
    of_source: tuple[str, ...] = ()
    held_out: Images | None = None
    holds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Opponent:
    """Another model that an evaluated one is set beside.

    Attributes:
        name: what it is called.
        predictor: the model, as a function of images.
        images: those of the evaluation that it did not learn from either, labelled as it knows classes.
        notes: what must be known of it, each a sentence.
    """

    name: str
    predictor: Predictor[Any]
    images: Images
    notes: tuple[str, ...] = ()


class Task(ABC):
    """One thing that a model can be trained for; `vitrail.tasks.registry` finds it by its name.

    Attributes:
        spec: its name, its settings and its recipes.
    """

    spec: Spec

    # --- a run -----------------------------------------------------------------------------------------------

    @abstractmethod
    def open(self, settings: Any) -> Source:
        """Open the data to train on, as they lie where ``validation_share`` is 0.

        Raises:
            DataError: it cannot be used for this task.
        """

    @abstractmethod
    def describe(self, settings: Any, backbone: ModelSpec, preprocessing: Preprocessing, source: Source) -> Description:
        """Say what is to be trained on a backbone, in enough detail to build the model again.

        Raises:
            ConfigError: the task cannot be learned with this backbone.
        """

    @abstractmethod
    def initialise(self, model: Any, settings: Any, weights: WeightsFile | None) -> Iterator[str]:
        """Give a new model the weights that a run starts from, if any, and say what became of them."""

    def learns(self, settings: Any, description: Description) -> str:
        """Say what classes a run learns, for the lines at its start."""
        return f"{len(description.class_names):,}: {shortened(description.class_names)}"

    @abstractmethod
    def prepare(self, model: Any, run: RunContext) -> Learning:
        """Return what is learned: the loss around the model, and the samples it takes."""

    # --- a trained model -------------------------------------------------------------------------------------

    @abstractmethod
    def reopen(self, description: Description, data: str) -> Source:
        """Open data to measure a model or to look at with it: undivided, and labelled as the model knows classes.

        Raises:
            DataError: they cannot be used, or have classes that the model was not trained on.
        """

    def check_answers(self, checkpoint: str, description: Description) -> None:
        """Refuse a model that says nothing of images.

        Args:
            checkpoint: what the user calls it.
            description: of it.

        Raises:
            ConfigError: it says nothing.
        """
        if not self.spec.answers:
            refuse_without_classes(checkpoint, description)

    def predictor(self, model: Any, description: Description, runtime: Runtime, settings: Any = None) -> Predictor[Any]:
        """Return a trained model as a function of images.

        Args:
            model: the model.
            description: of it.
            runtime: where it computes.
            settings: of ``vitrail evaluate`` or ``predict``, whose options it follows; by default theirs.

        Raises:
            ConfigError: the model says nothing of images.
        """
        refuse_without_classes("this model", description)

    @abstractmethod
    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw what a model makes of images, with the numbers, by name."""

    def figures(
        self,
        model: Any,
        description: Description,
        images: Images,
        settings: LookSettings,
        others: Sequence[OpenedModel] = (),
    ) -> dict[str, Figure]:
        """Draw all of a model that has a meaning for it, by name; what is told of a single head's task is `draw`'s.

        Args:
            model, description: the model.
            images: what it is shown.
            settings: what was asked for.
            others: models to be drawn in the same charts, where the task has any.
        """
        return self.draw(model, description, images, settings) | draw_weights(without_images(model, description))

    def search(self, model: Any, description: Description, pool: Images, settings: LookSettings) -> dict[str, Figure]:
        """Draw what a search through many images finds, by name, where the settings ask for one.

        Args:
            model, description: the model.
            pool: the images.
            settings: what was asked for; `check_look` has refused what means nothing to the model.
        """
        return {}

    def look_options(self, model: Any) -> tuple[str, tuple[str, ...]]:
        """Return what the model is, and the options of ``vitrail look`` that belong to some models only and to it."""
        return self.spec.noun, ()

    def check_look(self, model: Any, description: Description, settings: LookSettings) -> None:
        """Refuse options of ``vitrail look`` that mean nothing to the model.

        Raises:
            ConfigError: one does not, contradicts another, or is out of range.
        """
        check_options(*self.look_options(model), settings)


def refuse_without_classes(checkpoint: str, description: Description) -> NoReturn:
    """Refuse a model that knows no classes.

    Raises:
        ConfigError: in any case.
    """
    raise ConfigError(
        f"{checkpoint} is a {description.name}, which knows no classes; fine-tune it first: "
        f"vitrail train DATA --weights {checkpoint}"
    )


__all__ = ["Figures", "Learning", "Measure", "Measured", "Opponent", "RunContext", "Task", "refuse_without_classes"]
