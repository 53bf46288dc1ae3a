"""The same image somewhere else: moved, turned, and scaled; what comes in from outside is its mirror image."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from vitrail.stress.image import StressImage

DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Rows down and columns to the right of the eight directions."""


def translated(image: StressImage, distance: float, random: np.random.RandomState) -> np.ndarray:
    """Move an image by whole pixels in one of eight directions, drawn for each image.

    Args:
        image: the image.
        distance: pixels, along each axis on which it moves.
        random: the image's own random numbers.
    """
    down, right = DIRECTIONS[random.randint(len(DIRECTIONS))]
    rows, columns = (
        _mirrored(np.arange(n) - int(distance) * d, n) for n, d in zip(image.size, (down, right), strict=True)
    )
    return image.pixels[:, rows[:, None], columns[None]]


def rotated(image: StressImage, angle: float, random: np.random.RandomState) -> np.ndarray:
    """Turn an image about its centre by an angle in degrees, to the left or right as drawn for each image."""
    if angle == 0:
        return image.pixels
    turn = math.radians(angle) * (1 if random.randint(2) else -1)
    cosine, sine = math.cos(turn), math.sin(turn)
    return _sampled(image.pixels, np.array([[cosine, -sine], [sine, cosine]]))


def scaled(image: StressImage, factor: float, random: np.random.RandomState) -> np.ndarray:
    """Scale an image about its centre; below 1 it grows smaller, and its mirror image fills the frame.

    An image that grows smaller is blurred first by a Gaussian of half of what it shrinks beyond one pixel, so that no
    detail is aliased.
    """
    pixels = image.pixels
    if factor == 1:
        return pixels
    if factor < 1:
        deviation = (1 / factor - 1) / 2
        smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (0, deviation, deviation), mode="reflect")
        pixels = np.rint(smooth).astype(np.uint8)
    return _sampled(pixels, np.eye(2) / factor)


def _mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Reflect places outside of 0 .. length - 1 at the edges; the edge itself is repeated."""
    folded = np.mod(places, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def _sampled(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Sample ``(C, H, W)`` bilinearly where a matrix takes each place as seen from the centre."""
    centre = (np.array(pixels.shape[1:]) - 1) / 2
    offset = centre - matrix @ centre
    planes = [
        ndimage.affine_transform(plane, matrix, tuple(offset), None, np.float32, 1, "reflect")  # type: ignore[arg-type]
        for plane in pixels.astype(np.float32)
    ]
    return np.rint(np.clip(np.stack(planes), 0, 255)).astype(np.uint8)


__all__ = ["rotated", "scaled", "translated"]
