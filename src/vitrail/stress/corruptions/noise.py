"""Noise of a sensor: Gaussian in low light, shot noise of single photons, impulses of broken bits."""

from __future__ import annotations

import numpy as np

from vitrail.stress.corruptions.severity import geometric
from vitrail.stress.image import StressImage, to_bytes, to_unit


def gaussian_noise(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Add noise of a standard deviation of 0.06 to 0.4, of values in [0, 1]."""
    values = to_unit(image.pixels)
    return to_bytes(values + geometric(0.06, 0.4, severity) * random.standard_normal(values.shape))


def shot_noise(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Count photons, of which white has 80 down to 3: the paler, the noisier, but not in proportion."""
    photons = geometric(80, 3, severity)
    return to_bytes(random.poisson(to_unit(image.pixels) * photons) / photons)


def impulse_noise(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Set 2 to 30 % of the values to their least or their most."""
    chance = random.random_sample(image.pixels.shape)
    share = geometric(0.02, 0.3, severity)
    changed = np.where(chance < share / 2, np.uint8(0), image.pixels)
    return np.where(chance > 1 - share / 2, np.uint8(255), changed)


__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]
