"""Images unlike the others: far from their nearest neighbours among all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vitrail.audit.neighbours import nearest, unit

NEIGHBOURS = 10
"""The mean distance to so many counts: a handful of foreign images that are alike do not hide one another."""

FAR = 4.0
"""Median absolute deviations above the median, from which an image is listed."""


FEWEST = 20
"""Images below which there is no crowd to be far from."""


def outlier_scores(
    vectors: np.ndarray, groups: np.ndarray, reached: Callable[[int, int], None] = lambda done, total: None
) -> np.ndarray:
    """Return how far each image is from its nearest others: ``(N,)`` mean cosine distance in [0, 2].

    Args:
        vectors: ``(N, D)`` of an encoder.
        groups: ``(N,)`` int64: copies of one image have one number, and are no neighbours of each other.
        reached: called with how many images are done, and how many there are.
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.float32)
    centred = unit(vectors - vectors.mean(axis=0))
    copies = int(np.unique(groups, return_counts=True)[1].max()) - 1
    near = nearest(centred, centred, NEIGHBOURS + min(copies, NEIGHBOURS), reached)
    other = groups[near.index] != groups[:, None]
    counted = other & (np.cumsum(other, axis=1) <= NEIGHBOURS)
    total = np.where(counted, 1 - near.similarity, 0).sum(axis=1)
    count = counted.sum(axis=1)
    return np.divide(total, count, out=np.zeros(len(vectors), np.float32), where=count > 0).astype(np.float32)


def is_far(scores: np.ndarray) -> np.ndarray:
    """Tell which scores lie far above the others, by median and median absolute deviation: ``(N,)`` bool.

    Of fewer than `FEWEST` none is said to.
    """
    return (deviations(scores) > FAR) & (len(scores) >= FEWEST)


def deviations(values: np.ndarray) -> np.ndarray:
    """Return by how many (scaled) median absolute deviations each value lies above the median; 0 where all are one.

    Scaled by 1.4826, so that of a normal distribution it is the standard deviation.
    """
    if not len(values):
        return np.zeros(0)
    median = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - median))
    return (values - median) / spread if spread > 0 else np.zeros(len(values))


__all__ = ["deviations", "is_far", "outlier_scores"]
