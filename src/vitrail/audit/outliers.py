"""Images unlike the others: far even from the nearest few dozen of them.

The distance to the k-th nearest image (Ramaswamy, Rastogi & Shim 2000) is large as long as fewer than k foreign images
are alike: with the mean distance to the ten nearest, twenty street scenes among clothes were each other's neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vitrail.audit.neighbours import nearest, unit

SHARE, FEWEST_NEIGHBOURS, MOST_NEIGHBOURS = 0.01, 10, 50
"""k as a share of all images, and its bounds."""

FAR, LISTED = 1.5, 0.02
"""Median absolute deviations above the median from which an image is far, and the share of all that is listed at most.

Cosine distances are bounded: twenty street scenes among 3,781 clothes lay 1.5 to 2 deviations above the median.
"""

FEWEST = 20
"""Images below which there is no crowd to be far from."""


def outlier_scores(
    vectors: np.ndarray, groups: np.ndarray, reached: Callable[[int, int], None] = lambda done, total: None
) -> np.ndarray:
    """Return how far each image is from the k-th nearest of the others: ``(N,)`` cosine distance in [0, 2].

    Args:
        vectors: ``(N, D)`` of an encoder.
        groups: ``(N,)`` int64: copies of one image have one number, and are no neighbours of each other.
        reached: called with how many images are done, and how many there are.
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.float32)
    k = neighbours_counted(len(vectors))
    centred = unit(vectors - vectors.mean(axis=0))
    copies = int(np.unique(groups, return_counts=True)[1].max()) - 1
    near = nearest(centred, centred, k + min(copies, k), reached)
    other = groups[near.index] != groups[:, None]
    place = (np.cumsum(other, axis=1) <= k) & other
    # Distances rise along a row, so that of the k-th, or of the last there is, is the largest that counts.
    return np.where(place, 1 - near.similarity, 0).max(axis=1).astype(np.float32)


def neighbours_counted(images: int) -> int:
    """Return k for so many images."""
    return min(max(round(SHARE * images), FEWEST_NEIGHBOURS), MOST_NEIGHBOURS)


def is_far(scores: np.ndarray) -> np.ndarray:
    """Tell which scores lie far above the median, the farthest `LISTED` of all at most: ``(N,)`` bool.

    Of fewer than `FEWEST` none is said to.
    """
    if len(scores) < FEWEST:
        return np.zeros(len(scores), dtype=bool)
    farthest = np.argsort(-scores, kind="stable")[: max(1, round(LISTED * len(scores)))]
    return (deviations(scores) > FAR) & np.isin(np.arange(len(scores)), farthest)


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
