"""What tasks that learn from labels share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from vitrail.errors import ConfigError
from vitrail.models.backbone import freeze
from vitrail.settings import TrainSettings
from vitrail.tasks.task import Task
from vitrail.weights.weights_file import WeightsFile


class Supervised(Task):
    """A task of ``vitrail train``."""

    def initialise(self, model: Any, settings: TrainSettings, weights: WeightsFile | None) -> Iterator[str]:
        """Load weights and freeze the lowest layers, where either is asked for."""
        if weights is not None:
            yield f"{weights.source}: {self.load(model, weights)}"
        if settings.freeze:
            yield _freeze(model, settings.freeze)

    @abstractmethod
    def load(self, model: Any, weights: WeightsFile) -> str:
        """Give a new model the weights of a file or a run, and say what became of them."""


def _freeze(model: Any, layers: int) -> str:
    most = model.depth + 1
    if not 0 <= layers <= most:
        raise ConfigError(f"freeze takes 0 to {most} of this model's layers, not {layers}; the head must learn")
    return f"frozen: the lowest {layers} of {most + 1} layers ({len(freeze(model, layers))} tensors)"
