"""How well a classifier's probabilities agree with how often it is right, and the temperature that improves on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from vitrail.errors import DataError

BINS = 15
"""Of the expected calibration error, as Guo et al. 2017 (On Calibration of Modern Neural Networks) count it."""

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures between which one is looked for."""

FEWEST = 25
"""Images from which a temperature is fitted; fewer would say more of themselves than of others."""

MOST_FITTED = 10_000
"""Images that a temperature is fitted to at most where those measured are divided: it is a single number."""

AT_ONCE = 2**22
"""Probabilities that are computed at a time, 32 MB."""

SEED = 10
"""Of the division into halves."""


@dataclass(frozen=True)
class Bins:
    """Images by the confidence of the answer to them.

    Attributes:
        edges: M + 1 confidences from 0 to 1, rising; bin m holds what is above edge m and at most edge m + 1.
        counts: images of each bin.
        confidence: mean confidence of each bin; None without images.
        accuracy: share of right answers of each bin; None without images.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]

    @property
    def error(self) -> float:
        """Mean distance between confidence and accuracy over images, in [0, 1]."""
        total = sum(self.counts)
        rows = zip(self.counts, self.confidence, self.accuracy, strict=True)
        return sum(n / total * abs(c - a) for n, c, a in rows if c is not None and a is not None)


@dataclass(frozen=True)
class CalibrationFigures:
    """How well probabilities agree with outcomes.

    Attributes:
        ece: expected calibration error over bins of equal width, in [0, 1].
        adaptive_ece: the same over bins of equally many images.
        nll: mean negative log-likelihood of the right class, in nats.
        brier: mean over images of the squared distance between probabilities and outcome, summed over classes; in
            [0, 2] (Brier 1950).
        confidence: mean probability of the best class.
        accuracy: share of images whose best class is right.
        bins: those of ``ece``.
    """

    ece: float
    adaptive_ece: float
    nll: float
    brier: float
    confidence: float
    accuracy: float
    bins: Bins


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by before they become probabilities.

    Attributes:
        value: above 1 it makes answers less sure, below 1 surer; 1 where none could be fitted.
        images: how many it was fitted to.
        reason: why it could not be fitted, or lies at a limit; "" where nothing is wrong.
    """

    value: float
    images: int
    reason: str = ""


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does to images.

    Attributes:
        temperature: fitted to other images than the figures are of, unless whoever made it says otherwise.
        images: how many the figures are of.
        before: figures at temperature 1.
        after: figures at the fitted temperature.
    """

    temperature: Temperature
    images: int
    before: CalibrationFigures
    after: CalibrationFigures


def calibrate(temperature: Temperature, logits: Any, labels: Any, bins: int = BINS) -> Calibration:
    """Measure what a temperature does to the calibration of images.

    Args:
        temperature: from `fit_temperature`.
        logits: ``(N, K)``.
        labels: ``(N,)``, in 0 .. K - 1.
        bins: of the expected calibration error.

    Raises:
        DataError: there are no images, or their scores are no finite numbers.
    """
    scores, truth = checked(logits, labels)
    before, after = (figures_at(scores, truth, t, bins) for t in (1.0, temperature.value))
    return Calibration(temperature, len(truth), before, after)


def cross_calibrate(logits: Any, labels: Any, bins: int = BINS) -> Calibration:
    """Measure what a temperature does to the calibration of images, where no others are there to fit it to.

    Each half of the images is scaled by the temperature of the other half, so that no image has a say in its own. The
    temperature in the result is that of all of them; of so few that a half fits none it is 1, with the reason.

    Args:
        logits: ``(N, K)``, as for `calibrate`.
        labels: ``(N,)``.
        bins: of the expected calibration error.
    """
    scores, truth = checked(logits, labels)
    before = figures_at(scores, truth, 1.0, bins)
    if len(truth) < 2 * FEWEST:
        reason = f"{len(truth):,} images are too few to fit one to each half, it takes {2 * FEWEST}"
        return Calibration(Temperature(1.0, len(truth), reason), len(truth), before, before)
    half = np.random.RandomState(SEED).permutation(len(truth)) % 2
    values = np.array([_fitted(scores, truth, half != number).value for number in (0, 1)])
    after = figures_at(scores, truth, values[half], bins)
    return Calibration(_fitted(scores, truth, half < 2), len(truth), before, after)


def _fitted(scores: np.ndarray, labels: np.ndarray, which: np.ndarray) -> Temperature:
    """Fit a temperature to some images, a mask ``(N,)`` of bools: at most `MOST_FITTED`, evenly spaced."""
    places = np.flatnonzero(which)
    if len(places) > MOST_FITTED:
        places = places[np.linspace(0, len(places) - 1, MOST_FITTED).round().astype(int)]
    return fit_temperature(scores[places], labels[places])


def figures_of(shares: np.ndarray, labels: np.ndarray, bins: int = BINS) -> CalibrationFigures:
    """Return the calibration of probabilities ``(N, K)`` against labels ``(N,)``."""
    return _figures(*_outcomes(shares, labels), bins)


def figures_at(
    logits: np.ndarray, labels: np.ndarray, temperature: float | np.ndarray, bins: int = BINS
) -> CalibrationFigures:
    """Return the calibration of logits ``(N, K)`` at a temperature, one for all images or ``(N,)`` one for each.

    Probabilities are computed in float64, some images at a time: of 50,000 images and 1,000 classes they would take
    400 MB.
    """
    rows, of_each = max(1, AT_ONCE // logits.shape[1]), np.broadcast_to(temperature, len(labels))
    parts = []
    for start in range(0, len(labels), rows):
        some = slice(start, start + rows)
        shares = softmax(logits[some].astype(np.float64) / of_each[some, None], axis=1)
        parts.append(_outcomes(shares, labels[some]))
    confidence, right, of_label, distance = (np.concatenate(values) for values in zip(*parts, strict=True))
    return _figures(confidence, right, of_label, distance, bins)


def _outcomes(shares: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return of each image confidence, whether it is right, its class's probability, and the squared distance."""
    confidence, right = confidences(shares, labels)
    of_label = shares[np.arange(len(labels)), labels]
    return confidence, right, of_label, (shares**2).sum(axis=1) - 2 * of_label + 1


def _figures(
    confidence: np.ndarray, right: np.ndarray, of_label: np.ndarray, distance: np.ndarray, bins: int
) -> CalibrationFigures:
    found = equal_width(confidence, right, bins)
    return CalibrationFigures(
        ece=found.error,
        adaptive_ece=equal_count(confidence, right, bins).error,
        nll=float(-np.log(np.maximum(of_label, np.finfo(float).tiny)).mean()),
        brier=float(distance.mean()),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        bins=found,
    )


def equal_width(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Bins:
    """Divide answers ``(N,)`` into bins of equal width; a confidence on an edge belongs to the bin below."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return _bins(edges, place, confidence, right)


def equal_count(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Bins:
    """Divide answers ``(N,)``, ordered by confidence, into bins of equally many, give or take one (Nixon et al. 2019).

    There are never more bins than answers; equal confidences may come to lie in different bins.
    """
    bins = min(bins, len(confidence))
    order = np.argsort(confidence, kind="stable")
    place = np.empty(len(confidence), dtype=np.int64)
    parts = np.array_split(order, bins)
    for number, part in enumerate(parts):
        place[part] = number
    edges = np.array([0.0, *(confidence[part[-1]] for part in parts[:-1]), 1.0])
    return _bins(edges, place, confidence, right)


def fit_temperature(logits: Any, labels: Any) -> Temperature:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in the inverse of the temperature, so the zero of its slope is the minimum.

    Args:
        logits: ``(N, K)`` of images that the model did not learn from.
        labels: ``(N,)``, in 0 .. K - 1.

    Returns:
        A temperature from `COLDEST` to `HOTTEST`; 1, with the reason, of fewer than `FEWEST` images, where every
        answer is right, as then the likelihood grows for ever as the temperature falls, or where all scores are equal.

    Raises:
        DataError: there are no images, or their scores are no finite numbers.
    """
    scores, truth = checked(logits, labels)
    count = len(truth)
    if count < FEWEST:
        return Temperature(1.0, count, f"{count:,} images are too few to fit one, it takes {FEWEST}")
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    of_label = scores[np.arange(count), truth]
    if not scores.any():
        return Temperature(1.0, count, "the model gives every class the same score, so no temperature was fitted")
    if not of_label.any():
        return Temperature(
            1.0, count, f"all answers to the {count:,} images are right, so they fit no temperature; it stays 1"
        )

    def slope(inverse: float) -> float:
        return float(((softmax(scores * inverse, axis=1) * scores).sum(axis=1) - of_label).mean())

    if slope(1 / HOTTEST) >= 0:
        return Temperature(HOTTEST, count, f"the temperature lies at its upper limit, {HOTTEST:g}")
    if slope(1 / COLDEST) <= 0:
        return Temperature(COLDEST, count, f"the temperature lies at its lower limit, {COLDEST:g}")
    inverse: Any = brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-12)
    return Temperature(1 / float(inverse), count)


def probabilities(logits: Any, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities ``(N, K)`` float64 of logits ``(N, K)`` at a temperature."""
    return softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)


def log_likelihood(logits: Any, labels: Any, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood, in nats, of labels ``(N,)`` by logits ``(N, K)`` at a temperature."""
    scores, truth = checked(logits, labels)
    scores = scores.astype(np.float64) / temperature
    total: Any = logsumexp(scores, axis=1)
    return float((total - scores[np.arange(len(truth)), truth]).mean())


def confidences(shares: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability of each image, ``(N,)``, and whether its class is right, ``(N,)`` bool."""
    best = shares.argmax(axis=1)
    return shares[np.arange(len(best)), best], best == labels


def checked(logits: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return logits ``(N, K)`` as they are, or as float64 where they are whole numbers, and labels ``(N,)`` as int64.

    Raises:
        DataError: there are none, a score is not finite, a label is no class of the model's, or their numbers differ.
    """
    scores, truth = np.asarray(logits), np.asarray(labels, dtype=np.int64)
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise DataError(f"scores {scores.shape} and labels {truth.shape} are not those of the same images")
    if not len(truth):
        raise DataError("calibration needs labelled images that the model did not learn from, and there are none")
    if not np.isfinite(scores).all():
        wrong = int((~np.isfinite(scores)).any(axis=1).sum())
        raise DataError(f"the model's scores of {wrong:,} of {len(truth):,} images are no finite numbers")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise DataError(
            f"labels reach from {truth.min()} to {truth.max()}, and the model has {scores.shape[1]} classes"
        )
    return scores, truth


def _bins(edges: np.ndarray, place: np.ndarray, confidence: np.ndarray, right: np.ndarray) -> Bins:
    count = len(edges) - 1
    counts = np.bincount(place, minlength=count)
    sums = (np.bincount(place, weights=values.astype(np.float64), minlength=count) for values in (confidence, right))
    means = [tuple(float(total / n) if n else None for total, n in zip(one, counts, strict=True)) for one in sums]
    return Bins(tuple(edges.tolist()), tuple(counts.tolist()), *means)


__all__ = [
    "BINS",
    "Bins",
    "Calibration",
    "CalibrationFigures",
    "Temperature",
    "calibrate",
    "checked",
    "confidences",
    "cross_calibrate",
    "equal_count",
    "equal_width",
    "figures_at",
    "figures_of",
    "fit_temperature",
    "log_likelihood",
    "probabilities",
]
