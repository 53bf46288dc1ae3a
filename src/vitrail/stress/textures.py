"""Texture taken away, and shape kept: smoothing that keeps edges, edges alone, silhouettes, and a foreign texture.

Strengths go from 0, which changes nothing, to 1. Lengths are given for an image of 224 pixels and follow its size.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vitrail.stress.image import StressImage, luma, pixels_per, to_bytes, to_unit
from vitrail.stress.shuffle import shuffled

SIDE = 224
SMOOTHED_OVER = 8.0
"""Radius of the box of the guided filter at full strength, in pixels."""
SMOOTHED_BELOW = 0.1
"""Deviation of brightness below which it counts as texture at full strength."""
PASSES = 3
"""Times the filter is applied: texture at the foot of an edge goes with the second."""
LINE = 1.5
"""Deviation in pixels of the Gaussian whose derivatives find edges."""
BLACKEST = 0.98
"""Share of the gradients that are less than black in a drawing of edges."""
FRAME = 0.05
"""Share of the shorter side that counts as the image's rim."""
COARSE = 4.0
"""Deviation in pixels of the Gaussian that parts shape from texture where a foreign texture is put in."""
TILES = 7
"""The other image's patches are shuffled on a grid of so many rows and columns, so that its own shape does not show."""


def smoothed(image: StressImage, strength: float, random: np.random.RandomState) -> np.ndarray:
    """Smooth an image and keep its edges: the guided filter (He et al. 2013), guided by the brightness, three times.

    Args:
        image: the image.
        strength: in [0, 1], times `SMOOTHED_OVER` and `SMOOTHED_BELOW`.
        random: not used.
    """
    radius = round(strength * SMOOTHED_OVER * pixels_per(SIDE, image.size))
    values = to_unit(image.pixels)
    if strength == 0 or radius == 0:
        return image.pixels
    for _ in range(PASSES):
        values = guided(values, luma(values), radius, (strength * SMOOTHED_BELOW) ** 2)
    return to_bytes(values)


def guided(values: np.ndarray, guide: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Fit each window of an image by a line of the guide's, and average the lines that meet in a pixel.

    He, Sun and Tang 2013, Guided Image Filtering, equations 5, 6 and 8. Edges of the image are reflected.

    Args:
        values: ``(C, H, W)``.
        guide: ``(H, W)``.
        radius: a window has ``2 radius + 1`` pixels a side.
        epsilon: variance of the guide at which half of it is smoothed away.
    """
    side = 2 * radius + 1

    def mean(planes: np.ndarray) -> np.ndarray:
        rows = ndimage.uniform_filter1d(planes, side, axis=-2, mode="reflect")
        return ndimage.uniform_filter1d(rows, side, axis=-1, mode="reflect")

    centre, middle = mean(guide), mean(values)
    variance = mean(guide * guide) - centre * centre
    slope = (mean(guide * values) - centre * middle) / (variance + np.float32(epsilon))
    return mean(slope) * guide + mean(middle - slope * centre)


def edges(image: StressImage, strength: float, random: np.random.RandomState) -> np.ndarray:
    """Fade an image into a drawing of its edges: dark where the brightness changes, white where it does not.

    Args:
        image: the image.
        strength: share of the drawing in the mixture, in [0, 1].
        random: not used.
    """
    values = to_unit(image.pixels)
    steep = ndimage.gaussian_gradient_magnitude(luma(values), LINE * pixels_per(SIDE, image.size), mode="reflect")
    black = max(float(np.quantile(steep, BLACKEST)), 1e-6)
    return _faded(image, values, 1 - np.clip(steep / black, 0, 1), strength)


def silhouette(image: StressImage, strength: float, random: np.random.RandomState) -> np.ndarray:
    """Fade an image into its silhouette: black where its colour is unlike that of the rim, white elsewhere.

    The threshold is Otsu's (1979) on the distance from the median colour of the rim. No object is recognised: where the
    background is not of one colour, the silhouette is a rough one.

    Args:
        image: the image.
        strength: share of the silhouette in the mixture, in [0, 1].
        random: not used.
    """
    values = to_unit(image.pixels)
    width = max(1, round(FRAME * min(image.size)))
    rim = np.ones(image.size, dtype=bool)
    rim[width:-width, width:-width] = False
    background = np.median(values[:, rim], axis=1)
    distance = np.sqrt(((values - background[:, None, None]) ** 2).sum(axis=0))
    return _faded(image, values, np.where(distance > otsu(distance), 0.0, 1.0), strength)


def otsu(values: np.ndarray, bins: int = 256) -> float:
    """Return the threshold that parts values into two classes of the largest variance between them (Otsu 1979)."""
    counts, limits = np.histogram(values, bins)
    centres = (limits[:-1] + limits[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    both = (below > 0) & (above > 0)
    if not both.any():
        return float(limits[-1])
    difference = sums[both] / below[both] - (sums[-1] - sums[both]) / above[both]
    between = np.zeros(bins)
    between[both] = below[both] * above[both] * difference**2
    return float(limits[int(between.argmax()) + 1])


def stylised(image: StressImage, strength: float, random: np.random.RandomState) -> np.ndarray:
    """Give an image the texture and the colours of another one, its partner of another class.

    Its coarse half, below `COARSE`, takes the partner's mean and deviation in each channel; its fine half makes room
    for that of the partner, whose patches are shuffled before. No trained network has a part in it.

    Args:
        image: the image, with its partner.
        strength: share of what is foreign in the mixture, in [0, 1].
        random: shuffles the partner's patches.
    """
    assert image.partner is not None
    shape, texture = to_unit(image.pixels), to_unit(tiled(image.partner.pixels, random))
    deviation = COARSE * pixels_per(SIDE, image.size)
    coarse, fine = _blurred(shape, deviation), texture - _blurred(texture, deviation)
    foreign = with_statistics(coarse, to_unit(image.partner.pixels)) + fine
    return to_bytes((1 - np.float32(strength)) * shape + np.float32(strength) * foreign)


def tiled(pixels: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Shuffle the patches of an image ``(C, H, W)`` on a grid of `TILES`, or fewer where it is smaller."""
    return shuffled(StressImage(pixels, 0, 0), min(TILES, *pixels.shape[1:]), random)


def with_statistics(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Give each channel of ``(C, H, W)`` the mean and the standard deviation of another image's."""
    mean, deviation = values.mean(axis=(1, 2), keepdims=True), values.std(axis=(1, 2), keepdims=True)
    wanted_mean, wanted = of.mean(axis=(1, 2), keepdims=True), of.std(axis=(1, 2), keepdims=True)
    return (values - mean) / np.maximum(deviation, 1e-3) * wanted + wanted_mean


def _blurred(values: np.ndarray, deviation: float) -> np.ndarray:
    return ndimage.gaussian_filter(values, (0, deviation, deviation), mode="reflect", truncate=3)


def _faded(image: StressImage, values: np.ndarray, drawing: np.ndarray, strength: float) -> np.ndarray:
    if strength == 0:
        return image.pixels
    share = np.float32(strength)
    return to_bytes((1 - share) * values + share * drawing.astype(np.float32))


__all__ = ["edges", "guided", "otsu", "silhouette", "smoothed", "stylised", "tiled", "with_statistics"]
