"""What sets one kind of task apart from another: the questions that verbs ask, and who answers them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from PIL import Image
from torch import nn

from vitrail.data.requested import RequestedImage
from vitrail.data.samples import Samples
from vitrail.data.sources import Pictures, Source
from vitrail.errors import ConfigError, nearest
from vitrail.settings import EvaluateSettings, PredictSettings, TrainSettings
from vitrail.training.interfaces import Batch
from vitrail.verbs.start import Start
from vitrail.weights.description import Description

Measure = Callable[[nn.Module, Iterable[Batch]], dict[str, float]]
"""Takes a task in evaluation mode and its batches, and returns its metrics, the same ones on every process."""

KINDS: dict[str, str] = {
    "classify": "vitrail.verbs.kinds.classification",
    "detect": "vitrail.verbs.kinds.detection",
    "segment": "vitrail.verbs.kinds.segmentation",
}
"""The module of each task of `TrainSettings.task`; it holds its `Kind` as ``KIND``."""


class Figures(Protocol):
    """What an evaluation found: a dataclass of figures that can also be said in words."""

    def say(self) -> None:
        """Print tables and a closing line."""
        ...


class Kind(Protocol):
    """One kind of task. A checkpoint says which it is of; `kind_of` finds it."""

    def open(self, settings: TrainSettings) -> Source:
        """Open the data to train on, as they lie where ``validation_share`` is 0.

        Raises:
            DataError: it cannot be used for this task.
        """
        ...

    def reopen(self, description: Description, data: str) -> Source:
        """Open data to measure a model or to look at with it: undivided, and labelled as the model knows classes.

        Raises:
            DataError: they cannot be used, or have classes that the model was not trained on.
        """
        ...

    def describe(self, settings: TrainSettings, start: Start, source: Source) -> Description:
        """Say what is to be trained, in enough detail to build the model again."""
        ...

    def load(self, model: Any, weights: str) -> str:
        """Give a new model the weights a run starts from, and say what became of them."""
        ...

    def task(self, settings: TrainSettings, model: Any, description: Description) -> nn.Module:
        """Return what is learned: the task around the model."""
        ...

    def samples(self, settings: TrainSettings, pictures: Pictures, description: Description, training: bool) -> Samples:
        """Return pictures as the task sees them while it is trained, or measured."""
        ...

    def measure(self, pictures: Pictures | None, description: Description) -> Measure:
        """Return what measures the task on batches of these pictures."""
        ...

    def evaluate(self, settings: EvaluateSettings, model: Any, description: Description) -> Figures:
        """Measure a trained model."""
        ...

    def predict(
        self, settings: PredictSettings, images: Sequence[RequestedImage], model: Any, description: Description
    ) -> Iterator[Any]:
        """Say what is in images, one dataclass for each in the order of the request, whatever cannot be read."""
        ...

    def print(self, settings: PredictSettings, predictions: Iterator[Any]) -> None:
        """Print predictions as the settings ask."""
        ...

    def draw(self, model: Any, description: Description, pictures: Pictures, count: int) -> dict[str, Image.Image]:
        """Draw what a model makes of some pictures, by name."""
        ...


def kind_of(task: str) -> Kind:
    """Return the kind of a task of `TrainSettings.task`.

    Raises:
        ConfigError: there is no such task.
    """
    if task not in KINDS:
        raise ConfigError(f"there is no task {task!r}{nearest(task, KINDS)} All: {', '.join(KINDS)}")
    return importlib.import_module(KINDS[task]).KIND


__all__ = ["KINDS", "Figures", "Kind", "Measure", "kind_of"]
