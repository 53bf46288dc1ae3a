"""Sets of classes that hold the right one with a wanted probability: split conformal prediction.

Of each image that the model did not learn from, a score says how ill its right class fits the model's probabilities. A
class belongs to the set of a new image where its score is at most a quantile of these. Images drawn like those have
their class in the set with at least the wanted probability, whatever the model (Vovk et al. 2005; Papadopoulos et al.
2002).

- ``lac``: one minus the probability of the class (Sadinle et al. 2019); the smallest sets on average.
- ``aps``: the probability of all classes likelier than it, and a random part of its own (Romano et al. 2020); larger
  sets for images that are hard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from vitrail.errors import ConfigError

Method = Literal["lac", "aps"]


def label_scores(shares: Any, labels: Any, method: Method = "lac", seed: int = 0) -> np.ndarray:
    """Return the score ``(N,)`` of the right class of each image.

    Args:
        shares: probabilities ``(N, K)``.
        labels: ``(N,)``.
        method: see the module.
        seed: of the random parts of ``aps``.
    """
    return class_scores(shares, method, seed)[np.arange(len(labels)), np.asarray(labels)]


def class_scores(shares: Any, method: Method = "lac", seed: int = 0) -> np.ndarray:
    """Return the score ``(N, K)`` of every class of images with probabilities ``(N, K)``."""
    chances = np.asarray(shares, dtype=np.float64)
    if method == "lac":
        return 1.0 - chances
    order = np.argsort(-chances, axis=1, kind="stable")
    ranked = np.take_along_axis(chances, order, axis=1)
    part = np.random.default_rng(seed).random((len(chances), 1))
    before = np.cumsum(ranked, axis=1) - ranked
    scores = np.empty_like(chances)
    np.put_along_axis(scores, order, before + part * ranked, axis=1)
    return scores


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
    # 20 images at 0.95 need the 20th score: not the 21st because 21 x 0.95 is a last bit above 19.95.
    rank = math.ceil((len(ordered) + 1) * coverage - 1e-9)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def needed_images(coverage: float) -> int:
    """Return how many images a quantile needs to be finite."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def prediction_sets(scores: np.ndarray, limit: float) -> np.ndarray:
    """Return the sets ``(N, K)`` bool of images with class scores ``(N, K)``: whether each class belongs to it.

    The best class always does, so that no set is empty; where that adds it, sets hold the right class more often than
    wanted.
    """
    found = scores <= limit
    found[np.arange(len(scores)), scores.argmin(axis=1)] = True
    return found


def names_of(members: Sequence[bool] | np.ndarray, shares: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of one image's set ``(K,)``, the likeliest first."""
    order = np.argsort(-shares, kind="stable")
    return tuple(names[place] for place in order if members[place])


__all__ = ["Method", "class_scores", "label_scores", "names_of", "needed_images", "prediction_sets", "quantile"]
