"""What tasks that learn from labels share: weights to start from, and a trained model that is measured and asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vitrail.data.item import Item
from vitrail.errors import ConfigError
from vitrail.models.backbone import freeze
from vitrail.serialize import dumps
from vitrail.settings import EvaluateSettings, PredictSettings, TrainSettings
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.task import Figures, Measured, Opponent, Task
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description
from vitrail.weights.weights_file import WeightsFile


class Supervised(Task):
    """A task of ``vitrail train``, whose models say something of images."""

    def initialise(self, model: Any, settings: TrainSettings, weights: WeightsFile | None) -> Iterator[str]:
        """Load weights and freeze the lowest layers, where either is asked for."""
        if weights is not None:
            yield f"{weights.source}: {self.load(model, weights)}"
        if settings.freeze:
            yield _freeze(model, settings.freeze)

    @abstractmethod
    def load(self, model: Any, weights: WeightsFile) -> str:
        """Give a new model the weights of a file or a run, and say what became of them."""

    @abstractmethod
    def predictor(self, model: Any, description: Description, runtime: Runtime, settings: Any = None) -> Predictor[Any]:
        """Return a trained model as a function of images; `Task.predictor` explains."""

    @abstractmethod
    def evaluate(self, measured: Measured, predictor: Predictor[Any], settings: EvaluateSettings) -> Figures:
        """Measure a trained model, over all processes.

        Raises:
            DataError: there is nothing to measure.
        """

    @abstractmethod
    def illustrate(self, found: Any, measured: Measured, predictor: Predictor[Any], settings: Any) -> Illustrated:
        """Draw and list what `evaluate` found, for a page; only the main process is asked."""

    def compare(self, found: Any, opponent: Opponent, settings: Any) -> Figures:
        """Return figures with another model beside; only tasks whose settings have ``compare`` are asked."""
        raise ConfigError(f"{self.spec.noun} cannot be compared with another model")

    @abstractmethod
    def predict(
        self, images: Sequence[Item], predictor: Predictor[Any], settings: PredictSettings, out: Path
    ) -> Iterator[Any]:
        """Say what is in images, one dataclass for each in the order of the request, whatever cannot be read.

        What is drawn and found is left in the folder ``out``.
        """

    def print(self, settings: PredictSettings, predictions: Iterable[Any], out: Path) -> None:
        """Print predictions as the settings ask: JSON line by line as they come."""
        if settings.json or settings.format == "json":
            for prediction in predictions:
                print(dumps(self.said_in_json(prediction)), flush=True)
        else:
            self.print_table(settings, predictions, out)

    def said_in_json(self, prediction: Any) -> dict[str, Any]:
        """Return what JSON holds of a prediction."""
        return vars(prediction)

    @abstractmethod
    def print_table(self, settings: PredictSettings, predictions: Iterable[Any], out: Path) -> None:
        """Print predictions in a format that people read."""


def _freeze(model: Any, layers: int) -> str:
    most = model.depth + 1
    if not 0 <= layers <= most:
        raise ConfigError(f"freeze takes 0 to {most} of this model's layers, not {layers}; the head must learn")
    return f"frozen: the lowest {layers} of {most + 1} layers ({len(freeze(model, layers))} tensors)"
