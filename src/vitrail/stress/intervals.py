"""How far an accuracy can be trusted: 95 % intervals over images and seeds, and the area under a curve."""

from __future__ import annotations

import math

import numpy as np

Z = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %."""


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


def area_under(places: np.ndarray, values: np.ndarray) -> float:
    """Return the mean of a curve over its axis by the trapezium rule.

    Args:
        places: rising, from 0 to 1.
        values: at those places.
    """
    return float((np.diff(places) * (values[1:] + values[:-1]) / 2).sum())


__all__ = ["accuracy_interval", "area_under", "effective_count", "wilson"]
