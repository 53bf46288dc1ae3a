"""When a classifier can be believed: learned from images it did not learn from, and stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitrail.console import percent
from vitrail.data.sources import Images, Source
from vitrail.errors import DataError, VitrailError, none_readable
from vitrail.output import say
from vitrail.runs.fit_head import head_inputs
from vitrail.settings import TrainSettings
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.training.runtime import Runtime
from vitrail.trust.reliability import learn_reliability
from vitrail.weights.calibration_file import LearnedFrom, StoredReliability, calibration_folder, write_calibration
from vitrail.weights.checkpoint import open_checkpoint


@dataclass(frozen=True, eq=False)
class Scored:
    """What a classifier makes of labelled images; those that cannot be read are left out.

    Attributes:
        logits: float32 ``(N, K)``.
        labels: int64 ``(N,)``.
        vectors: float32 ``(N, D)``, what its backbone makes of them.
        damaged: how many cannot be read.
    """

    logits: np.ndarray
    labels: np.ndarray
    vectors: np.ndarray
    damaged: int


def calibrate_run(folder: Path, settings: TrainSettings, source: Source) -> None:
    """Learn from a finished run's validation images when its best checkpoint can be believed, and store it there.

    A run without such images, and one that is no classifier's, leaves nothing. Where it cannot be learned or stored, it
    is said why, and the run is as good as it was.
    """
    images = source.validation
    if not isinstance(settings, ClassifySettings) or images is None or not len(images):
        return
    try:
        model, description = open_checkpoint(folder)
        predictor = ClassPredictor(model, description, Runtime.of(settings.run), settings.batch_size)
        if settings.fit_head:
            scored = _scored_features(predictor, settings, folder, images)
        else:
            scored = scored_images(predictor, images, settings.loader.workers)
        stored = learned(predictor, scored, settings.data, "validation")
        write_calibration(calibration_folder(folder), stored, model, description.preprocessing)
    except (VitrailError, OSError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else error
        say(f"not stored when this classifier can be believed: {reason}")
    else:
        say(sentence(stored))


def scored_images(predictor: ClassPredictor, images: Images, workers: int) -> Scored:
    """Score labelled images.

    Raises:
        DataError: none of them can be read.
    """
    batches = predictor.batches(images, predictor.batch_size, workers)
    parts = [(*predictor.scored(batch), batch["label"]) for batch in batches]
    if not parts:
        raise DataError(none_readable(len(images), *batches.damaged[:1]))
    logits, vectors, labels = (np.concatenate([one.numpy() for one in column]) for column in zip(*parts, strict=True))
    return Scored(logits, labels, vectors, len(images) - len(labels))


def learned(predictor: ClassPredictor, scored: Scored, data: str, split: str) -> StoredReliability:
    """Learn when a classifier can be believed from images that it did not learn from.

    Args:
        predictor: the classifier.
        scored: the images.
        data: what the user calls them.
        split: which of them.

    Raises:
        DataError: its scores are no finite numbers.
    """
    known = learn_reliability(scored.logits, scored.labels, scored.vectors)
    source = LearnedFrom(data, split, len(known), scored.damaged, predictor.runtime.precision.name)
    return StoredReliability(known, source)


def sentence(stored: StoredReliability) -> str:
    """Say in one line what was learned."""
    known = stored.reliability
    threshold = known.threshold(stored.max_error)
    found = known.calibration
    ece = "" if found is None else f", ECE {percent(found.before.ece)} without and {percent(found.after.ece)} with it"
    if threshold.value is None:
        answers = threshold.reason
    else:
        answers = (
            f"--abstain answers {percent(threshold.coverage)} of the {len(known):,} {stored.source.split} images, for "
            f"at most {percent(threshold.max_error)} wrong"
        )
    return f"calibration: temperature {known.temperature.value:.3f}{ece}; {answers}"


def _scored_features(predictor: ClassPredictor, settings: ClassifySettings, folder: Path, images: Images) -> Scored:
    """Score images by what is kept of them on the disk."""
    preprocessing = predictor.description.preprocessing
    features = head_inputs(predictor.model, preprocessing, settings, folder, images, "validation")
    inputs = features.all()
    with predictor.computing():
        logits = predictor.model.score(inputs.to(predictor.runtime.device)).float().cpu()
    labels = features.labels(images).numpy()
    return Scored(logits.numpy(), labels, inputs.flatten(1).numpy(), len(images) - len(labels))


__all__ = ["Scored", "calibrate_run", "learned", "scored_images", "sentence"]
