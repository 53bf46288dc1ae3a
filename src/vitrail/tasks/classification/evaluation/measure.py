"""A classifier measured on labelled images, over all processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vitrail.data.sources import Images
from vitrail.errors import DataError, none_readable
from vitrail.settings.inputs import normalization_name
from vitrail.tasks.classification.evaluation.answers import MOST_SCORES, Answers, answers_to
from vitrail.tasks.classification.evaluation.temperature import calibration_of
from vitrail.tasks.classification.metrics import Evaluation, summarise
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings
from vitrail.tasks.left_out import unread
from vitrail.tasks.task import Measured

MOST_FITTED = 2000
"""Images that a temperature, a single number, is fitted to at most: more would be scored for nothing."""


def measure_classifier(measured: Measured, predictor: ClassPredictor, settings: ClassifyEvaluateSettings) -> Evaluation:
    """Score every image, and say what that tells.

    Raises:
        DataError: no image can be read.
    """
    description, images = predictor.description, measured.images
    answers, damaged = score(images, predictor, settings)
    if not len(answers):
        raise DataError(none_readable(len(images), *damaged[:1], data=measured.data))
    found = summarise(measured.split, answers, images, description.class_names)
    return replace(
        found,
        calibration=calibration_of(answers, _held_out(measured, predictor, settings), "validation"),
        damaged=damaged,
        notes=(*measured.notes, *_not_kept(answers, len(description.class_names))),
        normalization=normalization_name(description.preprocessing),
    )


def score(
    images: Images, predictor: ClassPredictor, settings: ClassifyEvaluateSettings
) -> tuple[Answers, tuple[str, ...]]:
    """Return the answers to images, and the files that could not be read."""
    batches = predictor.batches(images, settings.batch_size, settings.workers)
    return answers_to(images, predictor, batches), unread(batches)


def _held_out(measured: Measured, predictor: ClassPredictor, settings: ClassifyEvaluateSettings) -> Answers | None:
    """Return the answers to images that a temperature is fitted to, evenly spread over those there are."""
    held_out = measured.held_out
    if held_out is None or not len(held_out):
        return None
    places = np.unique(np.linspace(0, len(held_out) - 1, min(MOST_FITTED, len(held_out))).round().astype(int))
    return score(held_out.subset(places.tolist()), predictor, settings)[0]


def _not_kept(answers: Answers, classes: int) -> list[str]:
    """Say what is not measured where there are too many scores to be kept."""
    if answers.logits is not None:
        return []
    return [
        f"{len(answers):,} images times {classes:,} classes are more than {MOST_SCORES:,} scores, which are not kept: "
        "no AUROC and no calibration is measured."
    ]


__all__ = ["measure_classifier", "score"]
