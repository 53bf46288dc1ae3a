"""Snow, frost, fog and bright light, drawn from random numbers alone."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from vitrail.stress.corruptions.blur import filtered, line
from vitrail.stress.corruptions.severity import geometric, linear
from vitrail.stress.image import StressImage, luma, pixels_per, to_bytes, to_unit

SIDE = 224
FALLING = (math.radians(45), math.radians(135))
"""Directions in which snow falls, from the row."""
STREAK = 12.0
"""Pixels that a flake falls while the shutter is open."""
ROUGHNESS = 2.0
"""Exponent by which the power of fog falls off with its frequency in space; 2 and more is what clouds look like."""


def snow(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Let flakes fall, 0.4 to 3 % of the pixels, in front of an image that has grown 10 to 45 % paler."""
    values, scale = to_unit(image.pixels), pixels_per(SIDE, image.size)
    flakes = (random.random_sample(image.size) < geometric(0.004, 0.03, severity)).astype(np.float32)
    flakes = ndimage.gaussian_filter(flakes, 0.8 * scale, mode="reflect")
    streaks = filtered(flakes[None], line(STREAK * scale, random.uniform(*FALLING)))[0]
    near = np.clip(streaks / max(float(np.quantile(streaks, 0.99)), 1e-6), 0, 1)
    grey = np.maximum(values, luma(values) * 0.75 + 0.25)
    pale = linear(0.1, 0.45, severity)
    return to_bytes((1 - pale) * values + pale * grey + linear(0.4, 0.9, severity) * near)


def frost(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Cover 20 to 75 % of an image by crystals of ice, thickest at its rim."""
    values, (height, width) = to_unit(image.pixels), image.size
    cloud, veins = clouds(image.size, random, 1.6), clouds(image.size, random, 2.4)
    crystals = 1 - np.abs(2 * veins - 1)  # ridges where the clouds cross their middle
    rows, columns = (np.abs(np.linspace(-1, 1, n)) for n in (height, width))
    rim = np.maximum(rows[:, None], columns[None]) ** 2
    ice = 0.5 * cloud + 0.5 * rim
    covered = np.clip((ice - np.quantile(ice, 1 - linear(0.2, 0.75, severity))) * 10, 0, 1)
    frozen = 0.55 + 0.45 * crystals**3
    share = linear(0.5, 0.85, severity) * covered
    return to_bytes((1 - share) * values + share * frozen)


def fog(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Lay a cloud over an image, up to 0.6 to 2.4 times as bright as the image's brightest."""
    values, most = to_unit(image.pixels), geometric(0.6, 2.4, severity)
    brightest = max(float(values.max()), 1e-3)
    foggy = values + np.float32(most) * clouds(image.size, random, ROUGHNESS).astype(np.float32)
    return to_bytes(foggy * brightest / (brightest + most))


def brightness(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
    """Add 0.1 to 0.5 to every value."""
    return to_bytes(to_unit(image.pixels) + np.float32(linear(0.1, 0.5, severity)))


def clouds(size: tuple[int, int], random: np.random.RandomState, roughness: float) -> np.ndarray:
    """Draw a fractal: noise whose power falls with its frequency in space; ``(H, W)``, from 0 to 1.

    The amplitude of a frequency f is ``f ** -(roughness / 2 + 0.5)``, whatever the size of the image.
    """
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    amplitude = np.where(frequency > 0, np.maximum(frequency, 1) ** -(roughness / 2 + 0.5), 0)
    noise = np.fft.irfft2(np.fft.rfft2(random.standard_normal(size)) * amplitude, s=size)
    low, high = noise.min(), noise.max()
    return (noise - low) / max(high - low, 1e-12)


__all__ = ["brightness", "clouds", "fog", "frost", "snow"]
