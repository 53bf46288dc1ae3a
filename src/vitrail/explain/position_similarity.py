"""How alike the position embeddings of two places are."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def position_similarity(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the cosine similarity of the positions of any two places (ViT, figure 7 centre).

    Args:
        table: ``(h * w, D)``, row by row.
        grid: ``(h, w)``.

    Returns:
        ``(h, w, h, w)`` float64 in [-1, 1]: row and column of one place, then of the other.

    Raises:
        ValueError: there is another number of positions.
    """
    if len(table) != grid[0] * grid[1]:
        raise ValueError(f"a {grid[0]}x{grid[1]} grid has {grid[0] * grid[1]} places; this table has {len(table)}")
    rows = F.normalize(table.detach().double().cpu(), dim=1)
    return (rows @ rows.T).view(*grid, *grid)
