"""Whether one model keeps more of its accuracy than another, on the same images: paired, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.stress.answers import AnswerFile
from vitrail.stress.curves import Curve
from vitrail.stress.figures import answers_of, areas_of
from vitrail.stress.measure import Measurement
from vitrail.stress.randomness import draws

RESAMPLES = 2000
"""Times that the images are drawn anew, with replacement, for an interval."""


@dataclass(frozen=True)
class Difference:
    """How much more of its accuracy one model keeps than another.

    Attributes:
        first, second: the models.
        curve: name of the curve.
        level: its strength; None for the area under the curve.
        kept: share of its accuracy on images as they are that the first model keeps, less that of the second.
        low, high: its 95 % interval, by bootstrap over images.
    """

    first: str
    second: str
    curve: str
    level: float | None
    kept: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


HALF = ("occlusion_random", 0.5)
"""The curve and the strength that the paper's first finding is about."""


def differences(measured: Sequence[tuple[Measurement, AnswerFile]]) -> tuple[Difference, ...]:
    """Compare the first model with each other one, curve by curve."""
    if len(measured) < 2:
        return ()
    found = []
    for other in measured[1:]:
        pair = (measured[0], other)
        others = {curve.name: curve for curve in other[0].curves}
        for curve in measured[0][0].curves:
            if curve.name in others and others[curve.name].levels == curve.levels:
                both = (curve, others[curve.name])
                found += [_difference(pair, both, None)]
                found += [_difference(pair, both, HALF[1])] if curve.name.startswith(HALF[0]) else []
    return tuple(one for one in found if one is not None)


def _difference(
    pair: Sequence[tuple[Measurement, AnswerFile]], curves: Sequence[Curve], level: float | None
) -> Difference | None:
    """Compare two models; None where one of them names nothing right."""
    values, clean = [], []
    for (measurement, file), curve in zip(pair, curves, strict=True):
        order = np.argsort(measurement.images.identities, kind="stable")
        values.append(_by_image(measurement, file, curve, level)[order])
        clean.append(_right(measurement, file, None, 0.0)[order])
    if not all(one.any() for one in clean):
        return None
    kept, low, high = paired_interval(values, clean)
    names = [measurement.model.name for measurement, _ in pair]
    return Difference(names[0], names[1], curves[0].name, level, kept, low, high)


def paired_interval(values: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Return the difference of two ratios of means, and its 95 % interval by bootstrap over the same images.

    Args:
        values: of each model ``(N,)``, in the same order of images.
        clean: likewise, what each is a share of; neither is 0 throughout.
    """
    count = len(values[0])
    weights = draws(0, "bootstrap", count).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [(weights @ one) / (weights @ base) for one, base in zip(values, clean, strict=True)]
        drawn = ratios[0] - ratios[1]
    low, high = np.nanquantile(drawn[np.isfinite(drawn)], (0.025, 0.975))
    first, second = (float(one.mean() / base.mean()) for one, base in zip(values, clean, strict=True))
    return first - second, float(low), float(high)


def _by_image(measurement: Measurement, file: AnswerFile, curve: Curve, level: float | None) -> np.ndarray:
    """Return for each image how often it is named right: at a strength, or on average over the axis."""
    if level is not None:
        return _right(measurement, file, curve, level)
    return areas_of(curve.places(), np.stack([_right(measurement, file, curve, one) for one in curve.levels]))


def _right(measurement: Measurement, file: AnswerFile, curve: Curve | None, level: float) -> np.ndarray:
    labels = np.array(measurement.images.labels)
    seeds = range(curve.seeds if curve else 1)
    return np.mean([answers_of(measurement, file, curve, level, seed).predicted == labels for seed in seeds], axis=0)


__all__ = ["Difference", "differences", "paired_interval"]
