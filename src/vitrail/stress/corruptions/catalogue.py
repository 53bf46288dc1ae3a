"""All fifteen common corruptions by their names, in the order of the paper's figure 1."""

from __future__ import annotations

import numpy as np

from vitrail.stress.corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from vitrail.stress.corruptions.digital import contrast, elastic, jpeg, pixelate
from vitrail.stress.corruptions.noise import gaussian_noise, impulse_noise, shot_noise
from vitrail.stress.corruptions.weather import brightness, fog, frost, snow
from vitrail.stress.image import Change, StressImage

CORRUPTIONS: dict[str, Change] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic": elastic,
    "pixelate": pixelate,
    "jpeg": jpeg,
}


def corruption(name: str) -> Change:
    """Return a corruption that leaves an image as it is at severity 0."""
    change = CORRUPTIONS[name]

    def corrupted(image: StressImage, severity: float, random: np.random.RandomState) -> np.ndarray:
        return change(image, severity, random) if severity else image.pixels

    return corrupted


__all__ = ["CORRUPTIONS", "corruption"]
