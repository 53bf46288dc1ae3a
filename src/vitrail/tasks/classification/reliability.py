"""When a classifier can be believed: learned from labelled images that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitrail.console import percent
from vitrail.data.batches import EvalBatches, Loading
from vitrail.data.sources import Images
from vitrail.errors import DataError, none_readable
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.training import distributed
from vitrail.trust.reliability import COVERAGE, MAX_ERROR, learn_reliability
from vitrail.weights.calibration_file import LearnedFrom, StoredReliability

MOST_IMAGES, MOST_SCORES = 10_000, 2**26
"""Images, and scores of them, that are learned from at most: 64 million scores of as many classes are 512 MB."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What a classifier makes of labelled images, in their order; those that cannot be read are left out.

    Attributes:
        numbers: int64 ``(N,)``, the place of each among the images.
        labels: int64 ``(N,)``.
        logits: float32 ``(N, K)``.
        vectors: float32 ``(N, D)``, what its backbone makes of them.
    """

    numbers: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


def learnable(images: Images, classes: int) -> Images:
    """Return the images that are learned from, evenly spaced among those there are."""
    most = max(1, min(MOST_IMAGES, MOST_SCORES // classes))
    if len(images) <= most:
        return images
    return images.subset(np.unique(np.linspace(0, len(images) - 1, most).round().astype(int)).tolist())


def score_alone(predictor: ClassPredictor, images: Images, workers: int) -> Scored:
    """Score labelled images in this process, whatever others there are.

    Raises:
        DataError: none of them can be read.
    """
    batches = EvalBatches(predictor.samples(images), predictor.batch_size, Loading(workers))
    return _joined([_scored(predictor, batches)], len(images), batches.damaged)


def score_together(predictor: ClassPredictor, images: Images, workers: int) -> Scored:
    """Score labelled images over all processes; each of them returns all scores.

    Raises:
        DataError: none of them can be read.
    """
    batches = predictor.batches(images, predictor.batch_size, workers)
    own = _scored(predictor, batches)
    return _joined(distributed.gather(own), len(images), batches.damaged)


def learned(
    predictor: ClassPredictor,
    scored: Scored,
    source: tuple[str, str, int],
    max_error: float | None = None,
    coverage: float | None = None,
) -> StoredReliability:
    """Learn when a classifier can be believed from images that it did not learn from.

    Args:
        predictor: the classifier.
        scored: the images.
        source: what the user calls the data, which split it is, and how many images it has.
        max_error: share of answers that may be wrong where nothing else is said later.
        coverage: how often sets are to hold the right class, likewise.

    Raises:
        DataError: its scores are no finite numbers.
    """
    data, split, images = source
    known = learn_reliability(scored.logits, scored.labels, scored.vectors)
    precision = predictor.runtime.precision.name
    stated = LearnedFrom(data, split, len(known), images - len(known), precision)
    return StoredReliability(
        known, stated, MAX_ERROR if max_error is None else max_error, COVERAGE if coverage is None else coverage
    )


def sentence(stored: StoredReliability) -> str:
    """Say in one line what was learned."""
    known = stored.reliability
    threshold = known.threshold(stored.max_error)
    found = known.calibration
    error = f"ECE {percent(found.before.ece)} without and {percent(found.after.ece)} with it"
    answers = threshold.reason
    if threshold.value is not None:
        answers = (
            f"with --abstain {percent(threshold.coverage)} of the {stored.source} are answered, "
            f"for at most {threshold.max_error * 100:g} % wrong"
        )
    return f"calibration: temperature {known.temperature.value:.3f}, {error}; {answers}"


def _scored(predictor: ClassPredictor, batches: EvalBatches) -> list[tuple[np.ndarray, ...]]:
    """Return numbers, labels, logits and vectors of each batch."""
    found = []
    for batch in batches:
        values = (batch["index"], batch["label"], *predictor.scored(batch))
        found.append(tuple(value.numpy() for value in values))
    return found


def _joined(parts: list[list[tuple[np.ndarray, ...]]], images: int, damaged: list[str]) -> Scored:
    """Put the batches of all processes together, in the order of the images."""
    batches = [batch for part in parts for batch in part]
    if not batches:
        raise DataError(none_readable(images, *damaged[:1]))
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Scored(*(column[order] for column in columns))


__all__ = ["Scored", "learnable", "learned", "score_alone", "score_together", "sentence"]
