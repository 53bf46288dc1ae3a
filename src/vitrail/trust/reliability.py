"""All that is learned from held-out images of when a classifier can be believed, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vitrail.trust.abstention import Threshold, find_threshold
from vitrail.trust.calibration import (
    Calibration,
    Temperature,
    checked,
    confidences,
    cross_calibrate,
    fit_temperature,
    probabilities,
)
from vitrail.trust.conformal import label_scores, quantile
from vitrail.trust.unlike import Likeness, fit_likeness

MAX_ERROR, COVERAGE = 0.05, 0.95
"""What is wanted where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """When a classifier can be believed, learned from N images that it did not learn from.

    Attributes:
        temperature: fitted to all of them.
        calibration: figures of them, each half of which is scaled by the temperature of the other half.
        confidence: float64 ``(N,)``, the probability of the best class at this temperature.
        right: bool ``(N,)``, whether it is the image's class.
        scores: float64 ``(N,)``, one minus the probability of the image's class; see `vitrail.trust.conformal`.
        likeness: tells images unlike them; None where they are too few, or their vectors were not given.
    """

    temperature: Temperature
    calibration: Calibration
    confidence: np.ndarray
    right: np.ndarray
    scores: np.ndarray
    likeness: Likeness | None

    def __len__(self) -> int:
        return len(self.confidence)

    def threshold(self, max_error: float) -> Threshold:
        """Return from which confidence on at most a share ``max_error`` of answers is wrong, if there is one."""
        return find_threshold(self.confidence, self.right, max_error)

    def set_limit(self, coverage: float) -> float:
        """Return the score up to which a class belongs to the set that holds the right one with this probability."""
        return quantile(self.scores, coverage)


def learn_reliability(logits: Any, labels: Any, vectors: Any = None) -> Reliability:
    """Learn when a classifier can be believed.

    Args:
        logits: ``(N, K)`` of images that it did not learn from.
        labels: ``(N,)``, in 0 .. K - 1.
        vectors: ``(N, D)``, what its backbone makes of them; without, nothing is known of images unlike them.

    Raises:
        DataError: there are none, or scores or vectors are no finite numbers.
    """
    scores, truth = checked(logits, labels)
    temperature = fit_temperature(scores, truth)
    shares = probabilities(scores, temperature.value)
    confidence, right = confidences(shares, truth)
    calibration = cross_calibrate(scores, truth)
    likeness = None if vectors is None else fit_likeness(np.asarray(vectors))
    return Reliability(temperature, calibration, confidence, right, label_scores(shares, truth), likeness)


__all__ = ["COVERAGE", "MAX_ERROR", "Reliability", "learn_reliability"]
