"""Whether an image is unlike those a model was trained for: the Mahalanobis distance of its vector.

One Gaussian is fitted to the vectors that the backbone gives held-out images (Lee et al. 2018 fit one for each class,
to training images; here one for all, as the classes of few images say little of their own). Its covariance is shrunk
(Ledoit and Wolf 2004), so that it can be fitted to fewer images than a vector has numbers. On DeiT-Ti's vectors this
told street scenes and photos of anything from photos of clothes far better than the energy of the scores did
(docs/guides/abstaining.md has the figures).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vitrail.errors import DataError

FALSE_ALARMS = 0.01
"""Share of images like those held out that are called unlike them."""

FOLDS = 5
"""Parts of the images; the distance of each part is measured with a Gaussian of the others."""

MOST_VECTORS = 10_000
"""The Gaussian is fitted to so many images at most, evenly spaced among all."""

SEED = 20
"""Of the division into parts."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """What tells images like the training ones from others.

    Attributes:
        mean: ``(D,)`` float32.
        whitening: ``(D, D)`` float32; the squared distance of x is the squared length of ``(x - mean) whitening``.
        limit: distances above it are unlike; infinite where there were too few images for it.
        images: how many it was fitted to.
    """

    mean: np.ndarray
    whitening: np.ndarray
    limit: float
    images: int

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance ``(B,)`` of vectors ``(B, D)``, over the square root of D.

        Around 1 for vectors like those it was fitted to.
        """
        centred = np.asarray(vectors, dtype=np.float64) - self.mean
        return np.sqrt(np.square(centred @ self.whitening.astype(np.float64)).mean(axis=1))


def fit_likeness(vectors: np.ndarray, false_alarms: float = FALSE_ALARMS) -> Likeness | None:
    """Fit what tells images like these from others.

    Args:
        vectors: ``(N, D)``, of images like those the model was trained on, which it did not learn from.
        false_alarms: share of images like these that may be called unlike.

    Returns:
        None of fewer than `needed_images` images, from which no such limit can be known.

    Raises:
        DataError: a vector holds values that are no finite numbers.
    """
    values = np.asarray(vectors, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError("the model's vectors of these images hold values that are no finite numbers")
    if len(values) < needed_images(false_alarms):
        return None
    values = values[np.linspace(0, len(values) - 1, min(len(values), MOST_VECTORS)).astype(np.int64)]
    mean, whitening = _gaussian(values)
    limit = _limit(_crossed(values), false_alarms)
    return Likeness(mean, whitening, limit, len(values))


def needed_images(false_alarms: float = FALSE_ALARMS) -> int:
    """Return from how many images a limit with so few false alarms can be known."""
    return math.ceil(1 / false_alarms - 1e-9) - 1


def _gaussian(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ``(D,)`` and the whitening ``(D, D)`` of vectors."""
    from sklearn.covariance import LedoitWolf  # takes a second, which a prediction need not wait for

    fitted = LedoitWolf().fit(values)
    sizes, axes = np.linalg.eigh(fitted.covariance_)
    # Vectors that do not differ at all along some axis, as of one image many times, must not divide by nothing.
    least = max(float(sizes.max()) * 1e-10, np.finfo(np.float32).tiny)
    return fitted.location_.astype(np.float32), (axes / np.sqrt(np.maximum(sizes, least))).astype(np.float32)


def _crossed(values: np.ndarray) -> np.ndarray:
    """Return the distance of each vector by a Gaussian that it had no part in."""
    part = np.random.RandomState(SEED).permutation(len(values)) % FOLDS
    found = np.empty(len(values))
    for number in range(FOLDS):
        mean, whitening = _gaussian(values[part != number])
        found[part == number] = Likeness(mean, whitening, math.inf, 0).distances(values[part == number])
    return found


def _limit(distances: np.ndarray, false_alarms: float) -> float:
    """Return the ``ceil((N + 1) (1 - false_alarms))``-th smallest distance."""
    rank = math.ceil((len(distances) + 1) * (1 - false_alarms) - 1e-9)
    return float(np.sort(distances)[rank - 1])


__all__ = ["FALSE_ALARMS", "Likeness", "fit_likeness", "needed_images"]
