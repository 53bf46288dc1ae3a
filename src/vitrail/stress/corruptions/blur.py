"""Blur of a lens out of focus, of frosted glass, of a moving camera, and of one that moves in."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from vitrail.stress.corruptions.severity import geometric, linear
from vitrail.stress.image import StressImage, pixels_per, to_bytes, to_unit

SIDE = 224
FINENESS = 4
"""Parts of a pixel, along each side, by which the rim of a disc is rounded off."""
ZOOM_STEPS = 8
"""Images that a zoom is the mean of."""


def defocus_blur(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Average over a disc of a radius of 2 to 8 pixels."""
    radius = geometric(2, 8, severity) * pixels_per(SIDE, image.size)
    return to_bytes(filtered(to_unit(image.pixels), disc(radius)))


def glass_blur(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Take each pixel from up to 1 to 6 pixels away, between two slight blurs, as frosted glass does."""
    scale = pixels_per(SIDE, image.size)
    reach, deviation = geometric(1, 6, severity) * scale, 0.7 * scale
    values = _gaussian(to_unit(image.pixels), deviation)
    height, width = image.size
    away = random.uniform(-1, 1, (2, height, width)) * max(reach, 1.0)
    rows = np.clip(np.arange(height)[:, None] + np.rint(away[0]).astype(int), 0, height - 1)
    columns = np.clip(np.arange(width)[None] + np.rint(away[1]).astype(int), 0, width - 1)
    return to_bytes(_gaussian(values[:, rows, columns], deviation))


def motion_blur(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Average along a line of 7 to 31 pixels, whose direction is drawn for each image."""
    length = geometric(7, 31, severity) * pixels_per(SIDE, image.size)
    return to_bytes(filtered(to_unit(image.pixels), line(length, random.uniform(0, math.pi))))


def zoom_blur(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Average an image and itself enlarged step by step, up to 1.08 to 1.4 times."""
    values, most = to_unit(image.pixels), linear(1.08, 1.4, severity)
    return to_bytes(np.mean([enlarged(values, factor) for factor in np.linspace(1, most, ZOOM_STEPS)], axis=0))


def filtered(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weigh the neighbours of each pixel of ``(C, H, W)`` by a kernel of odd sides; edges are reflected."""
    down, right = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(values, ((0, 0), (down, down), (right, right)), mode="symmetric")
    return fftconvolve(padded, kernel[None, ::-1, ::-1].astype(values.dtype), mode="valid", axes=(1, 2))


def disc(radius: float) -> np.ndarray:
    """Return a disc as a kernel that adds up to 1; each pixel of its rim counts by the part of it inside."""
    reach = math.ceil(radius)
    fine = (np.arange((2 * reach + 1) * FINENESS) + 0.5) / FINENESS - reach - 0.5
    inside = (fine[:, None] ** 2 + fine[None] ** 2 <= radius**2).astype(np.float64)
    kernel = inside.reshape(2 * reach + 1, FINENESS, 2 * reach + 1, FINENESS).mean(axis=(1, 3))
    kernel[reach, reach] += not inside.any()  # so small a disc is one pixel
    return kernel / kernel.sum()


def line(length: float, angle: float) -> np.ndarray:
    """Return a line through the centre as a kernel that adds up to 1.

    Args:
        length: in pixels.
        angle: from the row, in radians.
    """
    reach = max(1, math.ceil(length / 2))
    along = np.linspace(-length / 2, length / 2, 4 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    rows, columns = along * math.sin(angle) + reach, along * math.cos(angle) + reach
    np.add.at(kernel, (np.rint(rows).astype(int), np.rint(columns).astype(int)), 1.0)
    return kernel / kernel.sum()


def enlarged(values: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge ``(C, H, W)`` about its centre, bilinearly, and cut off what leaves the frame."""
    if factor == 1:
        return values
    places = [(np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2 for n in values.shape[1:]]
    rows = _between(values, places[0], axis=1)
    return _between(rows, places[1], axis=2)


def _between(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate linearly along an axis at places within it."""
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (places - low).astype(values.dtype)
    share = share[:, None] if axis == 1 else share
    return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share


def _gaussian(values: np.ndarray, deviation: float) -> np.ndarray:
    return ndimage.gaussian_filter(values, (0, deviation, deviation), mode="reflect", truncate=3)


__all__ = ["defocus_blur", "disc", "enlarged", "filtered", "glass_blur", "line", "motion_blur", "zoom_blur"]
