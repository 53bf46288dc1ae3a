"""Rotary positions in two dimensions: queries and keys are turned by where their patch lies (DINOv3).

Su et al. 2021 (RoFormer) turn pairs of channels by angles that grow with the position, so that the product of a query
with a key depends on the offset between them. DINOv3 (Siméoni et al. 2025) does so with the centres of patches, in
coordinates from -1 to 1 along both sides of the image, whatever its size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vitrail.errors import ConfigError

BASE = 100.0
"""The slowest pair of channels turns about so many times less than the fastest, in all published DINOv3."""


class Rotation(NamedTuple):
    """What queries and keys are turned by.

    Attributes:
        cos, sin: ``(N, E)`` in fp32, of the N patches in row-major order, or ``(B, V, E)`` of some patches of each
            image. Tokens before the grid are not turned.
    """

    cos: Tensor
    sin: Tensor

    def of(self, visible: Tensor) -> Rotation:
        """Return the rotation of some patches alone, by their indices ``(B, V)``."""
        return Rotation(self.cos[visible], self.sin[visible])


def frequencies(head_width: int, base: float = BASE) -> Tensor:
    """Return turns for each unit of a coordinate, ``(E / 4,)``: falling geometrically from 1 to nearly 1 / base.

    Raises:
        ConfigError: the width of a head is not a multiple of 4: two coordinates of two channels each.
    """
    if head_width % 4:
        raise ConfigError(f"rotary positions need a head width divisible by 4, not {head_width}")
    return base ** -(torch.arange(head_width // 4, dtype=torch.float32) * (4 / head_width))


def rotation(grid: tuple[int, int], head_width: int, base: float = BASE, like: Tensor | None = None) -> Rotation:
    """Return the rotation of a grid's patches.

    The first quarter of the channels follows y, the second x; channel c and channel c + E / 2 are a pair.

    Args:
        grid: ``(h, w)``.
        head_width: E.
        base: of the frequencies.
        like: a tensor on whose device the result should be.
    """
    device = None if like is None else like.device
    y, x = (2 * (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side - 1 for side in grid)
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)  # (N, 2)
    turns = frequencies(head_width, base).to(places.device)
    angles = 2 * math.pi * (places.unsqueeze(-1) * turns).flatten(1)  # (N, E / 2)
    return Rotation(angles.cos().repeat(1, 2), angles.sin().repeat(1, 2))


def rotate(heads: Tensor, turned: Rotation) -> Tensor:
    """Turn the last N tokens of queries or keys.

    Args:
        heads: ``(B, prefix + N, ..., E)``.
        turned: for N patches.

    Returns:
        The same shape and precision; the first ``prefix`` tokens as they were.
    """
    prefix = heads.shape[1] - turned.cos.shape[-2]
    patches = heads[:, prefix:]
    ones = (1,) * (heads.ndim - 3)
    cos, sin = (part.view(*part.shape[:-1], *ones, part.shape[-1]) for part in turned)
    first, second = patches.chunk(2, dim=-1)
    across = torch.cat([-second, first], dim=-1)
    return torch.cat([heads[:, :prefix], (patches * cos + across * sin).to(heads.dtype)], dim=1)
