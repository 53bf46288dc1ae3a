"""Relative positions: what attention adds to the scores for how far a key lies from its query.

Both kinds have one call, ``(queries, grid, visible) -> bias``; `vitrail.layers.attention.Attention` hands over
its queries. They are learned for one grid ``(h, w)`` and fitted to any other by interpolation.

A table of biases has one row for every offset ``(dy, dx)`` from key to query on a grid ``(h, w)`` (a window, in Swin),
and one number a head: ``((2h - 1)(2w - 1), K)``. The offset's row is ``(dy + h - 1) (2w - 1) + dx + w - 1`` (Swin,
section 3.2), as in all published weights.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

# Offsets start out with scores about as large as those of content. From 0.02, which suits Swin's long schedules, a
# short run never gets to use them: 400 steps on 8x8 digits reached 76 and 70 % (keys, table) instead of 97 and 94 %,
# against 71 % without positions and 94 % with learned ones.
INITIAL_STD = 1.0


BiasResize = Literal["bicubic", "geometric"]
"""How a table is fitted to another grid. bicubic: as an image, as published for Swin; geometric: linearly, at offsets
that lie the closer the smaller they are, as BEiT's code (microsoft/unilm) places them and timm does it."""


def take_pairs(table: Tensor, tokens: Tensor) -> Tensor:
    """Pick the pairs among some tokens from a table of all pairs: ``(N, N)`` to ``(B, V, V)``.

    Args:
        table: ``(N, N)``, one value for each pair of tokens.
        tokens: ``(B, V)`` indices.
    """
    return table[tokens.unsqueeze(2), tokens.unsqueeze(1)]


def pair_rows(rows: Tensor, count: int, prefix: int, visible: Tensor | None = None) -> Tensor:
    """Return which row of a table of offsets belongs to each pair of tokens, class token included.

    A class token has no place: its pairs have three rows of their own after all offsets, for class to patch,
    patch to class and class to class (as in BEiT, Bao et al. 2022).

    Args:
        rows: ``(N, N)`` int64, the row of each pair of patches.
        count: how many offsets there are.
        prefix: 1 with a class token, else 0.
        visible: ``(B, V)`` indices of the only patches there are.

    Returns:
        ``(1, T, T)``, or ``(B, T, T)`` with ``visible``, for the T tokens.
    """
    if prefix:
        rows = F.pad(rows, (1, 0, 1, 0))
        rows[0, :], rows[:, 0], rows[0, 0] = count, count + 1, count + 2
    if visible is None:
        return rows.unsqueeze(0)
    front = torch.arange(prefix, device=visible.device).expand(len(visible), -1)
    return take_pairs(rows, torch.cat([front, visible + prefix], dim=1))


class RelativeKeys(nn.Module):
    """The 1-D relative attention of ViT's appendix D.4.

    Patches are counted in row-major order, and every offset ``p_q - p_k`` has a key of its own for each head;
    the product of the query with that key is added to the scores.

    Attributes:
        keys: ``(K, 2 N - 1, E)``, from the offset ``-(N - 1)`` to ``N - 1``; with a class token three more.
    """

    def __init__(self, grid: tuple[int, int], prefix: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.keys = nn.Parameter(torch.empty(num_heads, 2 * grid[0] * grid[1] - 1 + 3 * prefix, head_width))
        nn.init.normal_(self.keys, std=INITIAL_STD)

    def by_offset(self) -> None:
        """Return nothing: what a key adds depends on the query."""
        return None

    def keys_for(self, grid: tuple[int, int]) -> Tensor:
        """Return the keys for a grid; for another grid than its own, stretched over its offsets."""
        return stretch_keys(self.keys, 2 * grid[0] * grid[1] - 1, self.prefix)

    def forward(self, queries: Tensor, grid: tuple[int, int], visible: Tensor | None = None) -> Tensor:
        """Return what is added to the scores.

        Args:
            queries: ``(B, K, prefix + N, E)``, or ``(B, K, prefix + V, E)`` with ``visible``.
            grid: ``(h, w)`` of the whole image.
            visible: ``(B, V)`` indices of the only patches there are.

        Returns:
            ``(B, K, T, T)`` for the T queries.
        """
        batch, heads, _, width = queries.shape
        patches = grid[0] * grid[1]
        places = torch.arange(patches, device=queries.device)
        offsets = places.unsqueeze(1) - places + patches - 1
        rows = pair_rows(offsets, 2 * patches - 1, self.prefix, visible)
        scores = (queries * width**-0.5) @ self.keys_for(grid).transpose(1, 2).to(queries.dtype)
        return scores.gather(3, rows.unsqueeze(1).expand(batch, heads, -1, -1))


class RelativeBias(nn.Module):
    """A table with one number for each head and 2-D offset (Swin, Liu et al. 2021, equation 4).

    Args:
        grid: ``(h, w)`` that it is made for.
        prefix: 1 with a class token, else 0.
        num_heads: K.
        resize: how it is fitted to another grid.

    Attributes:
        relative_position_bias_table: ``((2h - 1)(2w - 1), K)``, row offsets varying slowest; with a class
            token three rows more. The name is timm's.
    """

    def __init__(self, grid: tuple[int, int], prefix: int, num_heads: int, resize: BiasResize = "bicubic") -> None:
        super().__init__()
        self.grid = grid
        self.prefix = prefix
        self.resize: BiasResize = resize
        rows = (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3 * prefix
        self.relative_position_bias_table = nn.Parameter(torch.empty(rows, num_heads))
        nn.init.normal_(self.relative_position_bias_table, std=INITIAL_STD)

    def by_offset(self) -> Tensor:
        """Return the bias by offset of the key from its query, ``(K, 2h - 1, 2w - 1)``."""
        h, w = 2 * self.grid[0] - 1, 2 * self.grid[1] - 1
        return self.relative_position_bias_table[: h * w].T.unflatten(1, (h, w)).flip(1, 2)

    def table_for(self, grid: tuple[int, int]) -> Tensor:
        """Return the table for a grid; for another grid than its own by interpolation."""
        return fit_bias_table(self.relative_position_bias_table, self.grid, grid, self.resize)

    def forward(self, queries: Tensor, grid: tuple[int, int], visible: Tensor | None = None) -> Tensor:
        """Return what is added to the scores; arguments as for `RelativeKeys`.

        Returns:
            ``(1, K, T, T)``, or ``(B, K, T, T)`` with ``visible``.
        """
        offsets = (2 * grid[0] - 1) * (2 * grid[1] - 1)
        rows = pair_rows(offset_rows(grid, queries.device), offsets, self.prefix, visible)
        return self.table_for(grid)[rows].permute(0, 3, 1, 2).to(queries.dtype)


def stretch_keys(keys: Tensor, count: int, prefix: int) -> Tensor:
    """Fit keys of 1-D offsets to another number of offsets, by linear interpolation.

    Args:
        keys: ``(K, own + 3 prefix, E)``; the last three belong to the class token and stay as they are.
        count: how many offsets are wanted.
        prefix: 1 with a class token, else 0.

    Returns:
        ``(K, count + 3 prefix, E)``; the very same tensor when the numbers are equal.
    """
    own = keys.shape[1] - 3 * prefix
    if count == own:
        return keys
    offsets = keys[:, :own].transpose(1, 2).float()
    stretched = F.interpolate(offsets, size=count, mode="linear", align_corners=True).transpose(1, 2)
    return torch.cat([stretched.to(keys.dtype), keys[:, own:]], dim=1)


def fit_bias_table(table: Tensor, old: tuple[int, int], new: tuple[int, int], resize: BiasResize = "bicubic") -> Tensor:
    """Fit a table of 2-D offsets to another grid; rows after those of the offsets stay as they are."""
    if old == new:
        return table
    count = (2 * old[0] - 1) * (2 * old[1] - 1)
    fit = resize_bias_table if resize == "bicubic" else spread_bias_table
    return torch.cat([fit(table[:count], old, new), table[count:]])


def spread_bias_table(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Fit a table to another grid linearly over offsets that grow geometrically, as BEiT is fine-tuned.

    The old table's offsets are laid over the new ones so that small offsets keep their distance and large ones are
    stretched. BEiT's code then puts cubic splines through them, timm straight lines; these are straight lines.

    Arguments and result as in `resize_bias_table`.
    """
    # Plain numbers, also while `torch.jit.trace` counts with tensors.
    (old_h, old_w), (h, w) = ((2 * len(range(a)) - 1, 2 * len(range(b)) - 1) for a, b in (old, new))
    values = table.float().reshape(old_h, old_w, -1)
    rows, columns = (_spread(own, wanted, str(table.device)) for own, wanted in ((old_h, h), (old_w, w)))
    return torch.einsum("yo,xp,opk->yxk", rows, columns, values).reshape(h * w, -1).to(table.dtype)


def _spread(own: int, wanted: int, device: str) -> Tensor:
    """Return the share of each old offset of one axis in each new one, ``(wanted, own)``, on a device."""
    return torch.from_numpy(spread_offsets(own, wanted)).to(device)


@functools.lru_cache(maxsize=64)
def spread_offsets(own: int, wanted: int) -> NDArray[np.float32]:
    """Return the share of each old offset of one axis in each new one, ``(wanted, own)``.

    Args:
        own: how many offsets the table has along the axis, odd.
        wanted: how many it should have, odd.
    """
    if own == wanted:
        return np.eye(own, dtype=np.float32)
    steps = np.cumsum(_growth(own // 2, wanted // 2) ** np.arange(own // 2))
    places = np.concatenate([-steps[::-1], [0.0], steps])
    asked = np.arange(wanted, dtype=np.float64) - wanted // 2
    shares = [np.interp(asked, places, line) for line in np.eye(own)]
    return np.stack(shares, axis=1).astype(np.float32)


def _growth(count: int, reach: int) -> float:
    """Return the ratio, within BEiT's bounds, of the geometric series whose first ``count`` terms add up to ``reach``.

    The series begins with 1.
    """
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio**count) / (1 - ratio) > reach:
            high = ratio
        else:
            low = ratio
    return ratio


def offset_rows(grid: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Return which row of a bias table belongs to each query and key, ``(N, N)`` int64; see `offset_array`."""
    return torch.from_numpy(offset_array(grid)).to(device)


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
    image = table.T.reshape(1, -1, old_h, old_w).float()
    image = F.interpolate(image, size=(h, w), mode="bicubic", align_corners=False)
    return image.flatten(2)[0].T.to(table.dtype)


def square_grid(table: Tensor) -> tuple[int, int] | None:
    """Return the square grid that a table has as many rows as offsets for; None if there is none."""
    side = math.isqrt(len(table))
    return ((side + 1) // 2, (side + 1) // 2) if side * side == len(table) and side % 2 else None
