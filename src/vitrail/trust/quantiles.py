"""How often a classifier is right by what else is known of images: their size or brightness, say, in quantiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitrail.trust.intervals import Estimate, share_estimate

MOST_PARTS, FEWEST_IMAGES = 5, 20
"""Parts that images are divided into at most, and images that each has at least."""


@dataclass(frozen=True)
class Part:
    """Images alike in something.

    Attributes:
        low, high: the smallest and the largest value among them.
        images: how many they are.
        accuracy: share of them that is right, with Wilson's interval.
    """

    low: float
    high: float
    images: int
    accuracy: Estimate


def by_quantile(values: np.ndarray, right: np.ndarray) -> tuple[Part, ...]:
    """Divide images into parts of about equally many, by a value that each has; equal values stay together.

    Args:
        values: ``(N,)``; images whose value is nan are left out.
        right: ``(N,)`` bool, whether each image is named right.

    Returns:
        At most `MOST_PARTS` parts, by rising values; none where there are too few images or values to tell anything.
    """
    known = np.isfinite(values)
    values, right = values[known], right[known]
    count = min(MOST_PARTS, len(values) // FEWEST_IMAGES)
    if count < 2:
        return ()
    edges = np.unique(np.quantile(values, np.arange(1, count) / count, method="inverted_cdf"))
    places = np.searchsorted(edges, values, side="left")
    parts = [places == place for place in np.unique(places)]
    return tuple(_part(values[one], right[one]) for one in parts) if len(parts) > 1 else ()


def _part(values: np.ndarray, right: np.ndarray) -> Part:
    return Part(float(values.min()), float(values.max()), len(values), share_estimate(int(right.sum()), len(right)))


__all__ = ["Part", "by_quantile"]
