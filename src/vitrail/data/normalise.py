"""From the loader's bytes to the model's input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Turn uint8 images into normalised floats, on whatever device they are.

    Loaders hand over bytes, a quarter of the size of floats; the arithmetic belongs to the device.

    Args:
        mean: one value per channel, of images in [0, 1].
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        # Not persistent: the checkpoint's preprocessing says it already.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` uint8 to float32 with the mean taken off, divided by the deviation."""
        return (images.float() - self.mean) / self.std
