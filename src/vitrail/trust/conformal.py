"""Sets of classes that hold the right one with a wanted probability: split conformal prediction.

Of each image that the model did not learn from, a score says how ill its right class fits: one minus the class's
probability (Sadinle et al. 2019). A class belongs to the set of a new image where its score is at most a quantile of
these. Images drawn like those have their class in the set with at least the wanted probability, whatever the model
(Papadopoulos et al. 2002; Vovk et al. 2005). It is a probability over all images: sets of images that are hard hold
their class less often, those of easy ones more often.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vitrail.errors import ConfigError


def label_scores(shares: Any, labels: Any) -> np.ndarray:
    """Return the score ``(N,)`` of the right class of images with probabilities ``(N, K)``."""
    return class_scores(shares)[np.arange(len(labels)), np.asarray(labels)]


def class_scores(shares: Any) -> np.ndarray:
    """Return the score ``(N, K)`` of every class of images with probabilities ``(N, K)``."""
    return 1.0 - np.asarray(shares, dtype=np.float64)


def quantile(scores: Any, coverage: float) -> float:
    """Return the score up to which a class belongs to a set.

    It is the ``ceil((N + 1) coverage)``-th smallest of N scores; infinity, at which all classes belong to every set,
    where N is too small for there to be one.

    Args:
        scores: ``(N,)``, of right classes.
        coverage: wanted probability that the right class is in the set, in (0, 1).

    Raises:
        ConfigError: the coverage is not in (0, 1).
    """
    if not 0.0 < coverage < 1.0:
        raise ConfigError(f"coverage must lie between 0 and 1, not {coverage:g}")
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    # 19 scores at 0.95 need the 19th: not the 20th because 20 x 0.95 is a last bit above 19.
    rank = math.ceil((len(ordered) + 1) * coverage - 1e-9)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def needed_images(coverage: float) -> int:
    """Return from how many images on a quantile is finite."""
    return math.ceil(coverage / (1 - coverage) * (1 - 1e-9))


def prediction_sets(shares: Any, limit: float) -> np.ndarray:
    """Return the sets ``(N, K)`` bool of images with probabilities ``(N, K)``: whether each class belongs to it.

    The best class always does, so that no set is empty; where that adds it, sets hold the right class more often than
    wanted.
    """
    chances = np.asarray(shares)
    found = class_scores(chances) <= limit
    found[np.arange(len(chances)), chances.argmax(axis=1)] = True
    return found


__all__ = ["class_scores", "label_scores", "needed_images", "prediction_sets", "quantile"]
