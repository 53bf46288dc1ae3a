"""What pixels alone say of an image: brightness, contrast, sharpness, and what finds copies of it.

All of it is taken from the image squashed to `SIDE` x `SIDE` pixels, so that large and small images compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.listed import Listed
from vitrail.data.samples import Samples
from vitrail.data.transforms import eval_transform

SIDE = 256
"""Pixels a side at which images are described."""

SMALL = 32
"""Pixels a side of the small version whose coarse structure finds copies."""

WAVES = 8
"""Waves along each axis that are kept of the cosine transform."""

FORMAT = 1
"""Raised when a row of descriptors changes its meaning."""

STATISTICS = ("brightness", "contrast", "sharpness")


@dataclass(frozen=True)
class Descriptors:
    """What pixels say of N images.

    Attributes:
        brightness: ``(N,)`` mean of grey in [0, 1].
        contrast: ``(N,)`` standard deviation of grey in [0, 0.5].
        sharpness: ``(N,)`` standard deviation of grey's Laplacian over that of grey: low where an image is blurred.
        waves: ``(N, 63)`` coefficients of the small version's cosine transform, without the mean.
    """

    brightness: np.ndarray
    contrast: np.ndarray
    sharpness: np.ndarray
    waves: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Descriptors:
        """Take rows ``(N, 3 + 63)`` apart, as `Describer` makes them."""
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, len(STATISTICS) :])

    def __len__(self) -> int:
        return len(self.brightness)


class Describer:
    """Images to rows of descriptors, in the place of a model where vectors are computed."""

    def __call__(self, images: Tensor, keep_tokens: bool = False) -> tuple[np.ndarray, None]:
        """Return float32 ``(B, 66)`` of uint8 images ``(B, 3, SIDE, SIDE)``."""
        grey = grey_of(images)
        centred = grey - grey.mean(dim=(1, 2), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2)).sqrt()
        laplacian = F.conv2d(grey[:, None], _LAPLACIAN).std(dim=(1, 2, 3), correction=0)
        sharpness = laplacian / contrast.clamp(min=1 / 255)
        statistics = torch.stack([grey.mean(dim=(1, 2)), contrast, sharpness], dim=1)
        return torch.cat([statistics, _waves(grey)], dim=1).numpy(), None

    def about(self) -> dict[str, Any]:
        """Return all that decides the rows, as JSON values."""
        return {"what": "descriptors", "format": FORMAT, "side": SIDE}

    def samples(self, listed: Listed, start: int) -> Samples:
        """Return images from one on, squashed."""
        squash = Preprocessing(image_size=(SIDE, SIDE), resize="squash", crop_fraction=1.0, interpolation="bilinear")
        return Samples(listed.images(start), eval_transform(squash), 0, 3, cache="off")


def grey_of(images: Tensor) -> Tensor:
    """Return luma (ITU-R BT.601) of RGB: uint8 ``(B, 3, H, W)`` to float32 ``(B, H, W)`` in [0, 1]."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (images.float() * weights[:, None, None]).sum(dim=1) / 255


def _waves(grey: Tensor) -> Tensor:
    """Return the slowest waves of the small version, by rows, without the mean: ``(B, WAVES^2 - 1)``."""
    small = F.interpolate(grey[:, None], (SMALL, SMALL), mode="area")[:, 0]
    basis = _cosines()
    return (basis @ small @ basis.T).flatten(1)[:, 1:]


def _cosines() -> Tensor:
    """Return the orthonormal discrete cosine transform's first rows (DCT-II): ``(WAVES, SMALL)``."""
    wave, place = torch.arange(WAVES)[:, None], torch.arange(SMALL)[None]
    basis = torch.cos(torch.pi * wave * (2 * place + 1) / (2 * SMALL)) * (2 / SMALL) ** 0.5
    basis[0] /= 2**0.5
    return basis


MIRRORED = np.array([(-1.0) ** (place % WAVES) for place in range(WAVES * WAVES)], dtype=np.float32)[1:]
"""What mirroring an image does to its waves: those that are odd from left to right change their sign."""

_LAPLACIAN = torch.tensor([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]])

__all__ = ["MIRRORED", "SIDE", "Describer", "Descriptors", "grey_of"]
