"""Odd sizes, darkness, glare, missing contrast, blur: what pixels alone make suspicious."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vitrail.audit.descriptors import Descriptors
from vitrail.audit.outliers import deviations

DARK, BRIGHT = 0.06, 0.96
"""Mean brightness, of 0 to 1, beyond which an image shows next to nothing."""

NO_CONTRAST = 0.02
"""Standard deviation of grey, of 0 to 1, below which an image is one even area."""

BLURRED = 4.0
"""Median absolute deviations below the median of the sharpness's logarithm."""

SMALL = 0.25
"""A shorter side below this share of the median one."""

LONG = 2.0
"""So many times as long for its width as the median image, lying or standing."""


@dataclass(frozen=True)
class Oddity:
    """One image that is odd by its pixels.

    Attributes:
        number: which image.
        what: dark, bright, low contrast, blurred, small or odd aspect.
        score: the measured value, in the unit that ``said`` names.
        said: half a sentence.
    """

    number: int
    what: str
    score: float
    said: str


def oddities(descriptors: Descriptors, sizes: np.ndarray) -> list[Oddity]:
    """List images that are odd by their pixels, each for one reason at most, the odder first within a reason.

    Args:
        descriptors: of N images.
        sizes: ``(N, 2)`` width and height in pixels.
    """
    found: dict[int, Oddity] = {}
    for what, places, scores, said in _checks(descriptors, sizes):
        for number in np.flatnonzero(places).tolist():
            found.setdefault(number, Oddity(number, what, float(scores[number]), said.format(scores[number])))
    order = {what: place for place, what in enumerate(dict.fromkeys(one.what for one in found.values()))}
    return sorted(found.values(), key=lambda one: (order[one.what], one.score, one.number))


def _checks(descriptors: Descriptors, sizes: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
    brightness, contrast = descriptors.brightness, descriptors.contrast
    even = contrast < NO_CONTRAST
    yield "dark", brightness < DARK, brightness, "mean brightness {:.3f} of 1"
    yield "bright", brightness > BRIGHT, brightness, "mean brightness {:.3f} of 1"
    yield "low contrast", even, contrast, "standard deviation of grey {:.4f} of 1"
    sharpness = np.log(np.maximum(descriptors.sharpness, 1e-6))
    yield "blurred", (deviations(-sharpness) > BLURRED) & ~even, descriptors.sharpness, "sharpness {:.3f}"
    shorter = sizes.min(axis=1, initial=np.iinfo(np.int64).max).astype(float)
    yield "small", shorter < SMALL * np.median(shorter), shorter, "shorter side {:.0f} pixels"
    length = sizes.max(axis=1, initial=0) / np.maximum(shorter, 1)
    yield "odd aspect", length > LONG * np.median(length), length, "longer over shorter side {:.2f}"


__all__ = ["Oddity", "oddities"]
