"""What files and displays do to an image: contrast, elastic distortion, large pixels, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from vitrail.stress.corruptions.severity import geometric, linear
from vitrail.stress.grids import Grid, spread
from vitrail.stress.image import StressImage, pixels_per, to_bytes, to_unit

SIDE = 224
STIFFNESS = 8.0
"""Deviation in pixels of the Gaussian that makes an elastic distortion smooth."""


def contrast(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Bring each channel to 45 down to 5 % of its distance from its mean."""
    values = to_unit(image.pixels)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return to_bytes(mean + np.float32(geometric(0.45, 0.05, severity)) * (values - mean))


def elastic(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Stretch and squeeze small parts of an image: pixels move smoothly, by 1 to 5 pixels on the quadratic mean."""
    scale = pixels_per(SIDE, image.size)
    height, width = image.size
    moves = ndimage.gaussian_filter(
        random.uniform(-1, 1, (2, height, width)), (0, STIFFNESS * scale, STIFFNESS * scale), mode="reflect"
    )
    moves *= geometric(1, 5, severity) * scale / max(float(np.sqrt((moves**2).mean())), 1e-12)
    places = [np.arange(height)[:, None] + moves[0], np.arange(width)[None] + moves[1]]
    planes = image.pixels.astype(np.float32)
    moved = [ndimage.map_coordinates(plane, places, order=1, mode="reflect") for plane in planes]
    return np.rint(np.stack(moved)).astype(np.uint8)


def pixelate(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Leave 50 down to 12 % of the rows and columns: each large pixel is the mean of those it covers."""
    share = geometric(0.5, 0.12, severity)
    grid = Grid(*(max(1, round(side * share)) for side in image.size))
    means = [grid.means(plane).reshape(grid.rows, grid.columns) for plane in image.pixels]
    return np.stack([np.rint(spread(plane, *image.size)) for plane in means]).astype(np.uint8)


def jpeg(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Compress by JPEG at a quality of 25 down to 5, of 100."""
    grey = len(image.pixels) == 1
    shown = Image.fromarray(image.pixels[0] if grey else np.ascontiguousarray(image.pixels.transpose(1, 2, 0)))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=round(linear(25, 5, severity)))
    with Image.open(buffer) as decoded:
        values = np.asarray(decoded)
    return values[None].copy() if grey else np.ascontiguousarray(values.transpose(2, 0, 1))


__all__ = ["contrast", "elastic", "jpeg", "pixelate"]
