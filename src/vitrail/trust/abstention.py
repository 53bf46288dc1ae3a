"""From which confidence on a classifier answers, so that few of its answers are wrong.

Answers are put in order, the surest first. Of the first k of them, E are wrong. Clopper and Pearson's upper bound on
the error is at most the wanted one exactly where E wrong answers or fewer among k would be unlikely at the wanted
error. To try one k after the other and take the largest that passes would find one by luck, more often than once in
twenty. So each k is tried at a stricter level, chosen such that all of them together let a classifier whose error is
just the wanted one pass with a chance of at most 1 in 20. Where such a classifier passes first, the number of errors
allowed has just grown; so this chance is computed exactly, by following the distribution of E over these k alone.

If answers are wrong no less often as the confidence falls, the error of what is answered is at most the wanted one,
with at least 95 % confidence over the choice of the images that the threshold was found with: beyond the place where it
becomes larger than that, further answers are wrong at least as often as at the wanted error, and E is larger still.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vitrail.errors import ConfigError

LEVEL = 0.05
"""Chance at most that the error is larger than wanted."""

PRECISION = 0.01
"""To which relative precision the level of the single tests is found."""

NEGLIGIBLE = 1e-13
"""Probability below which a number of errors is left out."""


@dataclass(frozen=True)
class Threshold:
    """From which confidence on to answer.

    Attributes:
        max_error: wanted: the share of answers that may be wrong, in (0, 1).
        value: least confidence in [0, 1] at which to answer; None where none is known to give the wanted error.
        images: how many images it was found with.
        answered: how many of them have at least this confidence.
        wrong: how many of these answers are wrong.
        reason: why there is no threshold; "" where there is one.
    """

    max_error: float
    value: float | None
    images: int
    answered: int
    wrong: int
    reason: str = ""

    @property
    def coverage(self) -> float:
        """Share of the images that were answered, in [0, 1]."""
        return self.answered / self.images


def find_threshold(confidence: Any, right: Any, max_error: float, level: float = LEVEL) -> Threshold:
    """Find the least confidence at which to answer, so that at most a wanted share of answers is wrong.

    Args:
        confidence: ``(N,)``, of the answer to each image; of images that the model did not learn from.
        right: ``(N,)``, whether it is right.
        max_error: share of answers that may be wrong, in (0, 1).
        level: chance at most, over the choice of these images, that the share is larger.

    Returns:
        The threshold, with the reason where there is none.

    Raises:
        ConfigError: the wanted error is not in (0, 1).
    """
    if not 0.0 < max_error < 1.0:
        raise ConfigError(f"max_error must lie between 0 and 1, not {max_error:g}")
    sure, correct = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    order = np.argsort(-sure, kind="stable")
    sure, wrong = sure[order], np.cumsum(~correct[order])
    images = len(sure)
    looks = looks_of(images, max_error, level)
    allowed = np.searchsorted(looks, np.arange(1, images + 1), side="right") - 1
    last_of_equal = np.append(sure[:-1] != sure[1:], True) if images else np.zeros(0, dtype=bool)
    passed = np.flatnonzero((wrong <= allowed) & last_of_equal)
    if not len(passed):
        return Threshold(max_error, None, images, 0, 0, _why(images, looks, max_error, level))
    last = int(passed[-1])
    return Threshold(max_error, float(sure[last]), images, last + 1, int(wrong[last]))


@lru_cache(maxsize=256)
def looks_of(images: int, max_error: float, level: float = LEVEL) -> np.ndarray:
    """Return for 0, 1, 2, ... errors the least number of answers among which so many may be wrong.

    Returns:
        int64, rising; numbers of answers above ``images`` are left out.
    """
    low, high = level / 1000, level
    looks = _looks(images, max_error, high)
    if _chance(looks, max_error) <= level:
        return looks
    while high / low > 1 + PRECISION:
        middle = (low * high) ** 0.5
        within = _chance(_looks(images, max_error, middle), max_error) <= level
        low, high = (middle, high) if within else (low, middle)
    return _looks(images, max_error, low)


def _looks(images: int, max_error: float, level: float) -> np.ndarray:
    """Return for each number of errors the least k at which that many or fewer have a chance of at most ``level``."""
    from scipy.stats import binom  # takes half a second, which a prediction need not wait for

    most = int(binom.ppf(level, images, max_error)) + 1
    errors = np.arange(most + 1)
    low, high = errors.copy(), np.full(most + 1, images + 1)  # at k = errors the chance is 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        passes = binom.cdf(errors, middle, max_error) <= level
        low, high = np.where(passes, low, middle), np.where(passes, middle, high)
    return high[high <= images]


def _chance(looks: np.ndarray, max_error: float) -> float:
    """Return the chance that a classifier of just this error has, at some look i, at most i errors so far."""
    alive, first, before, passed = np.ones(1), 0, 0, 0.0  # alive[j] is the chance of first + j errors, and of no pass
    for allowed, look in enumerate(looks.tolist()):
        alive = np.convolve(alive, _errors_among(look - before, max_error))
        before = look
        out = max(0, allowed + 1 - first)
        passed += float(alive[:out].sum())
        alive, first = alive[out:], first + out
        kept = np.flatnonzero(alive > NEGLIGIBLE)
        if not len(kept):
            break
        alive, first = alive[kept[0] : kept[-1] + 1], first + int(kept[0])
    return passed


@lru_cache(maxsize=4096)
def _errors_among(count: int, error: float) -> np.ndarray:
    """Return the chances of 0, 1, 2, ... wrong answers among so many, up to where they are negligible."""
    from scipy.stats import binom

    most = int(binom.ppf(1 - NEGLIGIBLE, count, error))
    return binom.pmf(np.arange(most + 1), count, error)


def _why(images: int, looks: np.ndarray, max_error: float, level: float) -> str:
    if not len(looks):
        needed = needed_images(max_error, level)
        return (
            f"{images:,} images are too few to show an error of at most {_percent(max_error)} with "
            f"{_percent(1 - level)} confidence: that takes {needed:,} answers without a mistake"
        )
    return (
        f"no threshold gives an error of at most {_percent(max_error)} with {_percent(1 - level)} confidence: too many "
        "of the surest answers are wrong"
    )


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def needed_images(max_error: float, level: float = LEVEL) -> int:
    """Return how many answers, all of them right, show an error of at most ``max_error``."""
    return int(np.ceil(np.log(level) / np.log1p(-max_error)))


__all__ = ["LEVEL", "Threshold", "find_threshold", "looks_of", "needed_images"]
