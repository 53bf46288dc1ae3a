"""A classifier measured on labelled images, over all processes."""

from __future__ import annotations

from dataclasses import replace

from vitrail.data.sources import Images
from vitrail.errors import DataError, none_readable
from vitrail.settings.inputs import normalization_name
from vitrail.tasks.classification.evaluation.abstaining import abstaining_on
from vitrail.tasks.classification.evaluation.answers import MOST_SCORES, Answers, answers_to
from vitrail.tasks.classification.evaluation.known import known_reliability
from vitrail.tasks.classification.evaluation.temperature import calibration_of
from vitrail.tasks.classification.metrics import Evaluation, summarise
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings
from vitrail.tasks.left_out import unread
from vitrail.tasks.task import Measured


def measure_classifier(measured: Measured, predictor: ClassPredictor, settings: ClassifyEvaluateSettings) -> Evaluation:
    """Score every image, and say what that tells.

    Raises:
        ConfigError: what is known of when it can be believed is to be learned from images that it learned from.
        DataError: no image can be read.
    """
    description, images = predictor.description, measured.images
    known = known_reliability(measured, predictor, settings)
    answers, damaged = score(images, predictor, settings)
    if not len(answers):
        raise DataError(none_readable(len(images), *damaged[:1], data=measured.data))
    found = summarise(measured.split, answers, images, description.class_names)
    return replace(
        found,
        calibration=calibration_of(answers, known),
        abstaining=abstaining_on(answers, known.stored, known.apart) if known.stored else None,
        damaged=damaged,
        notes=(*measured.notes, *_not_kept(answers, len(description.class_names)), *filter(None, known.notes)),
        normalization=normalization_name(description.preprocessing),
    )


def score(
    images: Images, predictor: ClassPredictor, settings: ClassifyEvaluateSettings
) -> tuple[Answers, tuple[str, ...]]:
    """Return the answers to images, and the files that could not be read."""
    batches = predictor.batches(images, settings.batch_size, settings.workers)
    return answers_to(images, predictor, batches), unread(batches)


def _not_kept(answers: Answers, classes: int) -> list[str]:
    """Say what is not measured where there are too many scores to be kept."""
    if answers.logits is not None:
        return []
    return [
        f"{len(answers):,} images times {classes:,} classes are more than {MOST_SCORES:,} scores, which are not kept: "
        "no AUROC and no calibration is measured."
    ]


__all__ = ["measure_classifier", "score"]
