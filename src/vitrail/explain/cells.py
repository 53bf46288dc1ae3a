"""The cells in which an image is explained: patches of a ViT, squares of pixels for any model."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.layers.patches import grid_of
from vitrail.models.backbone import Backbone

CELL = 16
"""Side in pixels of the cells of a model without patches of a useful size; that of most ViTs' patches."""

LEAST_CELLS = 8
"""Along the shorter side of an image, for which small images get smaller cells."""


@dataclass(frozen=True)
class Cells:
    """Squares that cover an image, row by row; those at the bottom and right may be cut off.

    Attributes:
        height, width: of the image, in pixels.
        side: of a cell, in pixels.
    """

    height: int
    width: int
    side: int

    def __post_init__(self) -> None:
        if self.side < 1 or self.side > max(self.height, self.width):
            raise ConfigError(
                f"cells of {self.side} pixels do not divide an image of {self.height}x{self.width}; "
                f"choose a side from 1 to {max(self.height, self.width)}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns ``(h, w)`` of cells."""
        return grid_of(self.height, self.width, self.side)

    @property
    def count(self) -> int:
        """Number of cells, N."""
        return self.grid[0] * self.grid[1]

    def over_pixels(self, values: Tensor) -> Tensor:
        """Give every pixel the value of its cell: ``(..., N)`` to ``(..., H, W)``."""
        rows = values.unflatten(-1, self.grid)
        spread = rows.repeat_interleave(self.side, dim=-2).repeat_interleave(self.side, dim=-1)
        return spread[..., : self.height, : self.width]

    def sums(self, pixels: Tensor) -> Tensor:
        """Add up what the pixels of each cell have: ``(B, H, W)`` to ``(B, h, w)``."""
        bottom, right = -self.height % self.side, -self.width % self.side
        padded = F.pad(pixels, (0, right, 0, bottom))
        return padded.unflatten(-1, (-1, self.side)).unflatten(-3, (-1, self.side)).sum(dim=(-3, -1))


def cells_of(backbone: Backbone, height: int, width: int, side: int | None = None) -> Cells:
    """Return the cells for images of this size in pixels: a ViT's patches, else squares.

    Squares have `CELL` pixels, in small images an eighth of the shorter side.

    Raises:
        ConfigError: the side does not fit the image.
    """
    square = max(1, min(CELL, min(height, width) // LEAST_CELLS))
    return Cells(height, width, side or (backbone.strides[0] if backbone.is_plain else square))


def fit_map(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Fit maps ``(B, h, w)`` to another grid: finer by bilinear interpolation, coarser by averaging."""
    if values.shape[-2:] == grid:
        return values
    shown = values.unsqueeze(1)
    coarser = grid[0] <= values.shape[-2] and grid[1] <= values.shape[-1]
    if coarser:
        return F.interpolate(shown, size=grid, mode="area").squeeze(1)
    return F.interpolate(shown, size=grid, mode="bilinear", align_corners=False).squeeze(1)
