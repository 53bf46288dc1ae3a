"""Whether one classifier is right more often than another on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from vitrail.trust.intervals import Estimate, Z, share_estimate

ALPHA = 0.05
"""Chance below which a difference counts as told."""


@dataclass(frozen=True)
class Paired:
    """Two classifiers on the same images.

    Attributes:
        images: how many.
        first, second: accuracy of each, with Wilson's interval.
        both: images that both get right.
        only_first, only_second: images that one of them gets right.
        neither: images that none gets right.
        difference: accuracy of the first less that of the second, with its interval for paired shares.
        p_value: of McNemar's exact test: how likely so uneven a split of the images that only one gets right is, or a
            more uneven one, where both models are equally good.
    """

    images: int
    first: Estimate
    second: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: Estimate
    p_value: float

    @property
    def is_told(self) -> bool:
        """Whether the test tells the models apart at the level of 5 %."""
        return self.p_value < ALPHA


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two classifiers.

    Args:
        first, second: ``(N,)`` bool, whether each is right about each image; of the same images in the same order.
    """
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    count = len(first)
    return Paired(
        images=count,
        first=share_estimate(both + ours, count),
        second=share_estimate(both + theirs, count),
        both=both,
        only_first=ours,
        only_second=theirs,
        neither=neither,
        difference=difference_of_shares(ours, theirs, count),
        p_value=mcnemar(ours, theirs),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: images that only one gets right fall to each by a coin."""
    fewer, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(special.bdtr(fewer, total, 0.5)))


def difference_of_shares(only_first: int, only_second: int, count: int) -> Estimate:
    """Return the difference of two accuracies on the same images, with the interval of Bonett and Price (2012).

    It is Wald's, with one image added to each of the two counts that differ, which keeps it from having no width.

    Args:
        only_first, only_second: images that one of them gets right.
        count: how many images there are.
    """
    if not count:
        return Estimate(None)
    more, less = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    middle = more - less
    reach = Z * math.sqrt((more + less - middle**2) / (count + 2))
    value = (only_first - only_second) / count
    return Estimate(value, max(-1.0, min(middle - reach, value)), min(1.0, max(middle + reach, value)))


__all__ = ["Paired", "difference_of_shares", "mcnemar", "paired"]
