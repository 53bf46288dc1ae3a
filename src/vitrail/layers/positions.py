"""Position embeddings: how they are made, and how they are fitted to another grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sincos_2d(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed sine-cosine embedding of a grid (MAE, appendix A.1; the 1-D form is that of Attention Is All You Need).

    A quarter of the channels each holds sin(x), cos(x), sin(y), cos(y): the horizontal half comes first,
    as in the published MAE weights. Frequencies fall geometrically from 1 to 1/10000.

    Returns:
        ``(h * w, D)`` in row-major order.

    Raises:
        ValueError: the width is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"sine-cosine positions need a width divisible by 4, not {width}")
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    halves = [torch.outer(axis.flatten(), frequencies) for axis in (x, y)]
    return torch.cat([part for half in halves for part in (half.sin(), half.cos())], dim=1).float()


def resize_positions(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int], prefix: int = 1
) -> Tensor:
    """Fit learned positions to another grid by antialiased bicubic interpolation (ViT, section 3.2).

    Args:
        positions: ``(1, prefix + h * w, D)``; the first ``prefix`` belong to tokens without a place.
        old: the grid ``(h, w)`` the positions were made for.
        new: the grid wanted.
        prefix: how many tokens come before the grid.

    Returns:
        ``(1, prefix + h' * w', D)``; the very same tensor when the grids are equal.
    """
    if old == new:
        return positions
    front, places = positions[:, :prefix], positions[:, prefix:]
    picture = places.reshape(1, *old, -1).permute(0, 3, 1, 2).float()
    picture = F.interpolate(picture, size=new, mode="bicubic", antialias=True, align_corners=False)
    places = picture.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)
    return torch.cat([front, places], dim=1)
