"""Tables of relative position biases: which row belongs to which pair, and how a table fits another grid.

A table has one row for every offset ``(dy, dx)`` from key to query on a grid ``(h, w)`` (a window, in Swin), and
one number a head: ``((2h - 1)(2w - 1), K)``. The offset's row is ``(dy + h - 1) (2w - 1) + dx + w - 1`` (Swin,
section 3.2), as in all published weights.
"""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def offset_array(grid: tuple[int, int]) -> NDArray[np.int64]:
    """Return the row of each query and key of a grid, ``(N, N)``.

    An array, not a tensor, so that compilers take it for a constant and not for a part of the computation.
    """
    grid = (len(range(grid[0])), len(range(grid[1])))  # plain numbers, also while `torch.jit.trace` counts with tensors
    y, x = (axis.reshape(-1) for axis in np.indices(grid))
    dy, dx = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return (dy + grid[0] - 1) * (2 * grid[1] - 1) + dx + grid[1] - 1


def resize_bias_table(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Fit a table to another grid, by bicubic interpolation over the offsets.

    As published for fine-tuning with a larger window (Swin, section 3.2).

    Args:
        table: ``((2h - 1)(2w - 1), K)``.
        old: the grid ``(h, w)`` it was made for.
        new: the grid wanted.

    Returns:
        ``((2h' - 1)(2w' - 1), K)``; the very same tensor when the grids are equal.
    """
    if old == new:
        return table
    (old_h, old_w), (h, w) = ((2 * a - 1, 2 * b - 1) for a, b in (old, new))
    picture = table.T.reshape(1, -1, old_h, old_w).float()
    picture = F.interpolate(picture, size=(h, w), mode="bicubic", align_corners=False)
    return picture.flatten(2)[0].T.to(table.dtype)


def square_grid(table: Tensor) -> tuple[int, int] | None:
    """Return the square grid that a table has as many rows as offsets for; None if there is none."""
    side = math.isqrt(len(table))
    return ((side + 1) // 2, (side + 1) // 2) if side * side == len(table) and side % 2 else None
