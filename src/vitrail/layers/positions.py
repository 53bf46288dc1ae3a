"""Position embeddings: how they are made, and how they are fitted to another grid."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PositionResize = Literal["bicubic", "bicubic_plain", "dinov2", "bilinear"]
"""How positions are fitted to another grid. bicubic: antialiased, as timm, open_clip and DINOv2 with registers do it;
bicubic_plain: without antialiasing, as transformers does it for most models; dinov2: the same, at coordinates that
a tenth of a patch displaces, as DINOv2's own code has it; bilinear: with the corners aligned, the original ViT's
``scipy.ndimage.zoom(order=1)``."""

DINOV2_OFFSET = 0.1
"""Patches that DINOv2 (facebookresearch/dinov2, ``interpolate_offset``) adds to a grid's size before it divides."""


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


class Learned2d(nn.Module):
    """Learned positions of rows and of columns, half of the channels each (ViT, appendix D.4).

    Attributes:
        x: ``(copies, w, D / 2)``, the first half of the channels.
        y: ``(copies, h, D / 2)``, the second half.
    """

    def __init__(self, grid: tuple[int, int], width: int, prefix: int = 1, copies: int = 1) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"2-D learned positions need an even width, not {width}")
        self.prefix = prefix
        self.x = nn.Parameter(torch.randn(copies, grid[1], width // 2) * 0.02)
        self.y = nn.Parameter(torch.randn(copies, grid[0], width // 2) * 0.02)

    def forward(self) -> Tensor:
        """Return ``(copies, prefix + h * w, D)``; tokens without a place get zeros."""
        h, w = self.y.shape[1], self.x.shape[1]
        x = self.x.unsqueeze(1).expand(-1, h, -1, -1)
        y = self.y.unsqueeze(2).expand(-1, -1, w, -1)
        return F.pad(torch.cat([x, y], dim=-1).flatten(1, 2), (0, 0, self.prefix, 0))


def resize_positions(
    positions: Tensor,
    old: tuple[int, int],
    new: tuple[int, int],
    prefix: int = 1,
    mode: PositionResize = "bicubic",
) -> Tensor:
    """Fit learned positions to another grid by interpolation (ViT, section 3.2).

    Args:
        positions: ``(1, prefix + h * w, D)``; the first ``prefix`` belong to tokens without a place. Several
            sets of positions, ``(L, ...)``, are fitted each by itself.
        old: the grid ``(h, w)`` the positions were made for.
        new: the grid wanted.
        prefix: how many tokens come before the grid.
        mode: see `PositionResize`.

    Returns:
        ``(1, prefix + h' * w', D)``; the very same tensor when the grids are equal.
    """
    if old == new:
        return positions
    front, places = positions[:, :prefix], positions[:, prefix:]
    image = places.unflatten(1, old).permute(0, 3, 1, 2).float()
    if mode == "dinov2":
        # Plain numbers, also while `torch.jit.trace` counts with tensors.
        factors = [(len(range(wanted)) + DINOV2_OFFSET) / own for wanted, own in zip(new, old, strict=True)]
        image = F.interpolate(image, scale_factor=factors, mode="bicubic", align_corners=False)
    elif mode == "bilinear":
        image = F.interpolate(image, size=new, mode="bilinear", align_corners=True)
    else:
        image = F.interpolate(image, size=new, mode="bicubic", antialias=mode == "bicubic", align_corners=False)
    places = image.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)
    return torch.cat([front, places], dim=1)
