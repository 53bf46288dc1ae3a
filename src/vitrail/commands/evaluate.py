"""``vitrail evaluate``: how good a trained model is on labelled images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from vitrail.config import make, to_json
from vitrail.runs.foreign_models import published_precision
from vitrail.runs.measured import choose_split, known_split
from vitrail.runs.next_steps import after_evaluate, say_next
from vitrail.serialize import dumps
from vitrail.settings import EvaluateSettings
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.tasks.registry import task_of
from vitrail.training import distributed
from vitrail.weights.description import Description
from vitrail.weights.open_any import open_any


def evaluate(checkpoint: str | Path, data: str | Path, **settings: Any) -> Any:
    """Measure a trained model on labelled images.

    Args:
        checkpoint: a run folder, a checkpoint, or anybody's weights of a known layout.
        data: the images, as for `vitrail.train`.
        **settings: any other field of `vitrail.settings.EvaluateSettings`.

    Returns:
        The figures of the checkpoint's kind of task; an `Evaluation` of a classifier.

    Raises:
        VitrailError: the checkpoint or the data cannot be used, or their classes differ.
    """
    return _evaluated(make(EvaluateSettings, checkpoint=checkpoint, data=data, **settings))[0]


@distributed.processes()
def run(settings: EvaluateSettings) -> None:
    """Evaluate and print."""
    result, description = _evaluated(settings)
    if not settings.json:
        result.say()
        say_next(after_evaluate(settings.checkpoint, description, settings.data))
    elif distributed.is_main():
        print(dumps(to_json(result)))


@distributed.processes()
def _evaluated(settings: EvaluateSettings) -> tuple[Any, Description]:
    opened = open_any(settings.checkpoint, accept_license=settings.accept_license)
    settings = published_precision(settings, opened)
    model, description = opened.model, opened.description
    task = task_of(description)
    task.check_evaluation(settings, description)
    measured = choose_split(known_split(settings.checkpoint, description, settings.data), settings.split)
    measured = dataclasses.replace(measured, notes=(*opened.notes, *measured.notes))
    return task.evaluate(measured, model, description, settings), description


__all__ = ["Evaluation", "evaluate", "run"]
