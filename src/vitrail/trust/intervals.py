"""How far a figure can be trusted: 95 % intervals of shares, and by bootstrap of anything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

Z = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %."""

CONFIDENCE = 0.95

RESAMPLES = 2000
"""Times that images are drawn anew, with replacement, for an interval."""

FEWEST = 10
"""Images from which a bootstrap over them tells anything."""

AT_ONCE = 2**22
"""Numbers drawn at a time: 32 MB, however many images there are."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: the figure; None where it is not defined.
        low, high: the interval's ends; None where there is none to be had, as of a mean over a single image.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many independent trials (Wilson 1927)."""
    if count <= 0:
        return 0.0, 1.0
    centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    reach = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def effective_count(right: np.ndarray) -> float:
    """Return how many independent answers are worth as much as those to S variants of N images.

    The variance of the mean has a part of the images (the variance of the means of single images, over N, which holds
    what varies from variant to variant of one image), and one of the seeds (what the means of single seeds vary beyond
    that, over S). The count is ``p (1 - p)`` over their sum, at least 1 and at most N S; with one seed it is N.

    Args:
        right: ``(S, N)``, 1 where an answer is right.
    """
    seeds, images = right.shape
    share = float(right.mean())
    of_images = right.mean(axis=0)
    variance = float(of_images.var()) / images
    if seeds > 1:
        within = float(right.var(axis=0, ddof=1).mean()) / images
        variance += max(0.0, float(right.mean(axis=1).var(ddof=1)) - within) / seeds
    if share in (0.0, 1.0):
        return float(images)
    if variance == 0.0:
        return float(images * seeds)
    return min(max(share * (1 - share) / variance, 1.0), float(images * seeds))


def accuracy_interval(right: np.ndarray) -> tuple[float, float, float]:
    """Return the accuracy over images and seeds and its 95 % interval: Wilson's, for the effective count.

    Args:
        right: ``(S, N)``, 1 where an answer is right.
    """
    share = float(right.mean())
    low, high = wilson(share, effective_count(right))
    return share, min(low, share), max(high, share)


def clopper_pearson(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the two-sided interval that holds a share at least so often, whatever the share (Clopper & Pearson 1934).

    Args:
        hits: how many of the trials succeeded, from 0 to ``count``.
        count: how many independent trials there were; without any, the interval is all of [0, 1].
        confidence: in (0, 1); each end is passed with a probability of at most half of the rest.
    """
    tail = (1 - confidence) / 2
    return _lower_limit(hits, count, tail), 1.0 - _lower_limit(count - hits, count, tail)


def upper_limit(hits: int, count: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided limit of Clopper and Pearson: the share is at most this, with at least this confidence."""
    return 1.0 - _lower_limit(count - hits, count, 1 - confidence)


def _lower_limit(hits: int, count: int, tail: float) -> float:
    """Return the share of which so many hits or more are seen with probability ``tail``."""
    return float(special.betaincinv(hits, count - hits + 1, tail)) if hits else 0.0


def share_estimate(hits: int, count: int) -> Estimate:
    """Return a share of independent trials with Wilson's interval; without trials neither is known."""
    if not count:
        return Estimate(None)
    low, high = wilson(hits / count, count)
    return Estimate(hits / count, min(low, hits / count), max(high, hits / count))


def resampled(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Give the numbers of images drawn with replacement: ``(some, count)`` at a time, ``resamples`` rows in all.

    The same arguments give the same numbers on every machine.
    """
    random = np.random.RandomState(seed)  # the frozen kind, whose stream is the same in every version
    rows = max(1, AT_ONCE // max(count, 1))
    for start in range(0, resamples, rows):
        yield random.randint(0, count, (min(rows, resamples - start), count))


def mean_estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """Return the mean over images with its interval by bootstrap over them; of fewer than `FEWEST` there is none.

    Args:
        values: ``(N,)``, one for each image.
        seed: of the bootstrap.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < FEWEST:
        return Estimate(float(values.mean()) if len(values) else None)
    drawn = np.concatenate([values[rows].mean(axis=1) for rows in resampled(len(values), seed=seed)])
    return percentile_estimate(float(values.mean()), drawn)


def counts_estimate(
    counts: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
    interval: Callable[[float, np.ndarray], Estimate] | None = None,
) -> Estimate:
    """Return a figure of counts, such as of a confusion matrix, with its interval by bootstrap over what was counted.

    To draw N images anew is to draw from the multinomial distribution how many fall into each cell, which takes time by
    the number of cells and not of images.

    Args:
        counts: how many images fall into each cell, of any shape; empty cells may be left out.
        statistic: takes ``(R, cells)`` float64, the cells in the order of ``counts.ravel()``, and returns ``(R,)``; nan
            where the figure is not defined.
        seed: of the bootstrap.
        interval: `percentile_estimate`, the default, or `basic_estimate`.
    """
    cells = np.asarray(counts).ravel()
    total = int(cells.sum())
    value = float(statistic(cells[None].astype(np.float64))[0]) if total else math.nan
    if math.isnan(value) or total < FEWEST:
        return Estimate(None if math.isnan(value) else value)
    random, rows = np.random.RandomState(seed), max(1, AT_ONCE // cells.size)
    sizes = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    drawn = [statistic(random.multinomial(total, cells / total, size).astype(np.float64)) for size in sizes]
    return (interval or percentile_estimate)(value, np.concatenate(drawn))


def bootstrap(
    statistic: Callable[[np.ndarray], Any], count: int, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return any figure of images with its interval by bootstrap over them.

    Args:
        statistic: takes numbers of images ``(count,)``, some of them more than once, and returns the figure; nan where
            it is not defined.
        count: how many images there are.
        resamples: how often they are drawn anew.
        seed: of the bootstrap.
    """
    value = float(statistic(np.arange(count))) if count else math.nan
    if math.isnan(value):
        return Estimate(None)
    drawn = [float(statistic(row)) for rows in resampled(count, resamples, seed) for row in rows]
    return percentile_estimate(value, np.array(drawn))


def percentile_estimate(value: float, drawn: np.ndarray) -> Estimate:
    """Return a figure with the middle 95 % of what it was in resamples (Efron 1979, the percentile interval).

    Where all resamples agree, as they do of images that are all alike or of a single one, they say nothing of other
    images, and there is no interval. Resamples in which the figure is not defined are left out.
    """
    ends = _middle(value, drawn)
    return Estimate(value) if ends is None else Estimate(value, min(ends[0], value), max(ends[1], value))


def basic_estimate(value: float, drawn: np.ndarray) -> Estimate:
    """Return a share with its basic interval: the middle 95 % of resamples, mirrored at the share itself.

    Of few images some figures are too low or too high on average, as F1 is of a class with few images. Resamples are so
    once more, and mirroring them takes that out (Davison & Hinkley 1997, section 5.2.1); `percentile_estimate` would
    count it twice. The interval is held within [0, 1], and the share within the interval.
    """
    ends = _middle(value, drawn)
    if ends is None:
        return Estimate(value)
    low, high = 2 * value - ends[1], 2 * value - ends[0]
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def _middle(value: float, drawn: np.ndarray) -> tuple[float, float] | None:
    """Return the ends of the middle 95 %; None where all resamples agree."""
    finite = drawn[np.isfinite(drawn)]
    if not len(finite) or float(np.ptp(finite)) <= 1e-12 * max(1.0, abs(value)):
        return None
    low, high = np.quantile(finite, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


__all__ = [
    "Estimate",
    "accuracy_interval",
    "basic_estimate",
    "bootstrap",
    "clopper_pearson",
    "counts_estimate",
    "effective_count",
    "mean_estimate",
    "percentile_estimate",
    "resampled",
    "share_estimate",
    "upper_limit",
    "wilson",
]
