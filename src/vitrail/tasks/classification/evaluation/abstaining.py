"""What a classifier that may be unsure makes of the images that it is measured on: how much it answers, how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitrail.tasks.classification.evaluation.answers import Answers
from vitrail.trust.calibration import confidences, probabilities
from vitrail.trust.conformal import prediction_sets
from vitrail.trust.intervals import Estimate, clopper_pearson, share_estimate
from vitrail.trust.reliability import Reliability, learn_reliability
from vitrail.weights.calibration_file import StoredReliability

SEED = 30
"""Of the division of images that are learned from and measured into halves."""


@dataclass(frozen=True)
class Abstaining:
    """How a classifier that may be unsure does on the measured images.

    Attributes:
        max_error: share of its answers that may be wrong.
        threshold: probability from which on it answers; None where none is known to give that error.
        reason: why none is; "" where one is.
        answered: share of the images that it answers, with Wilson's interval.
        error: share of these answers that are wrong, with the interval of Clopper and Pearson.
        coverage: how often the sets of classes are to hold the right one.
        held: how often they do, with Wilson's interval.
        held_unsure: how often they do of images that are not answered, which are harder than others.
        set_size: mean number of classes in a set.
        learned_from: the images that all of this was learned from, in words.
        apart: whether none of them is measured here; else each half of the images is judged by what was learned from
            the other half.
    """

    max_error: float
    threshold: float | None
    reason: str
    answered: Estimate
    error: Estimate
    coverage: float
    held: Estimate
    held_unsure: Estimate
    set_size: float
    learned_from: str
    apart: bool


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What becomes of images, ``(N,)`` each: answered, named right, right class in the set, classes in the set."""

    answered: np.ndarray
    right: np.ndarray
    held: np.ndarray
    sizes: np.ndarray


def abstaining_on(answers: Answers, stored: StoredReliability, apart: bool) -> Abstaining | None:
    """Measure a classifier that may be unsure; None where the scores of the images are not kept.

    Args:
        answers: to the measured images.
        stored: what is known of when it can be believed.
        apart: none of the images that this was learned from is measured.
    """
    if answers.logits is None:
        return None
    outcome = _outcome(answers, stored.reliability, stored) if apart else _crossed(answers, stored)
    threshold = stored.reliability.threshold(stored.max_error)
    count, answered = len(answers), int(outcome.answered.sum())
    wrong = int((outcome.answered & ~outcome.right).sum())
    error = Estimate(wrong / answered, *clopper_pearson(wrong, answered)) if answered else Estimate(None)
    return Abstaining(
        max_error=stored.max_error,
        threshold=threshold.value,
        reason=threshold.reason,
        answered=share_estimate(answered, count),
        error=error,
        coverage=stored.coverage,
        held=share_estimate(int(outcome.held.sum()), count),
        held_unsure=share_estimate(int(outcome.held[~outcome.answered].sum()), count - answered),
        set_size=float(outcome.sizes.mean()),
        learned_from=str(stored.source),
        apart=apart,
    )


def _outcome(answers: Answers, known: Reliability, stored: StoredReliability) -> _Outcome:
    """Judge images by what was learned from others."""
    shares = probabilities(answers.logits, known.temperature.value)
    confidence, right = confidences(shares, answers.labels)
    threshold = known.threshold(stored.max_error).value
    answered = np.zeros(len(right), dtype=bool) if threshold is None else confidence >= threshold
    members = prediction_sets(shares, known.set_limit(stored.coverage))
    held = members[np.arange(len(right)), answers.labels]
    return _Outcome(answered, right, held, members.sum(axis=1))


def _crossed(answers: Answers, stored: StoredReliability) -> _Outcome:
    """Judge each half of the images by what is learned from the other half."""
    assert answers.logits is not None
    half = np.random.RandomState(SEED).permutation(len(answers)) % 2
    found = _Outcome(*(np.zeros(len(answers), dtype=kind) for kind in (bool, bool, bool, np.int64)))
    for number in range(min(2, len(answers))):
        own, other = answers.at(half == number), answers.at(half != number)
        if not len(other):  # of a single image nothing is known
            return _Outcome(found.answered, own.right, np.ones(1, dtype=bool), np.array([answers.logits.shape[1]]))
        judged = _outcome(own, learn_reliability(other.logits, other.labels), stored)
        for name, values in vars(judged).items():
            getattr(found, name)[half == number] = values
    return found


__all__ = ["Abstaining", "abstaining_on"]
