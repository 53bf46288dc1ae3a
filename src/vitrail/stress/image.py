"""One image as it is put under stress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StressImage:
    """An image of the model's input size, with what changes of it may rest on.

    Attributes:
        pixels: uint8 ``(C, H, W)``.
        identity: 64 bits of a digest of the image's file, or of its pixels where it is none.
        label: the number of its class.
        name: what reports call it.
        saliency: what matters in it, any float ``(h, w)``, where a change needs it.
        partner: an image of another class, where a change needs one.
    """

    pixels: np.ndarray
    identity: int
    label: int
    name: str = ""
    saliency: np.ndarray | None = None
    partner: StressImage | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


Change = Callable[[StressImage, float, np.random.RandomState], np.ndarray]
"""Takes an image, a strength and the image's own random numbers; returns uint8 ``(C, H, W)``."""


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Scale uint8 to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Round values in [0, 1] to uint8; those outside are clipped."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def luma(values: np.ndarray) -> np.ndarray:
    """Return the brightness ``(H, W)`` of an image ``(C, H, W)``: Rec. 601 weights of three channels, else the mean."""
    if len(values) == 3:
        return np.tensordot(np.array([0.299, 0.587, 0.114], dtype=values.dtype), values, axes=1)
    return values.mean(axis=0)


def pixels_per(side: int, size: tuple[int, int]) -> float:
    """Return by what lengths given for images of ``side`` pixels are multiplied in one of this height and width."""
    return min(size) / side


__all__ = ["Change", "StressImage", "luma", "pixels_per", "to_bytes", "to_unit"]
