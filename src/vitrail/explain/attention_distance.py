"""How far attention reaches: the distance that each head looks, in pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_attention_distance(weights: Tensor, grid: tuple[int, int], patch_size: int, prefix: int = 1) -> Tensor:
    """How far patches look, in pixels (ViT, figure 7 right and appendix D.7).

    The distance between a patch and every other, weighted by the attention among patches and averaged over the
    patches that look. Attention to and from prefix tokens, which have no place, is left out.

    Args:
        weights: ``(..., N, N)``.
        grid: ``(h, w)``.
        patch_size: pixels between two neighbouring tokens.
        prefix: tokens before the grid.

    Returns:
        ``(...)``.
    """
    among = weights[..., prefix:, prefix:]
    among = among / among.sum(dim=-1, keepdim=True)
    return (among * grid_distances(grid).to(among)).sum(dim=-1).mean(dim=-1) * patch_size


def grid_distances(grid: tuple[int, int]) -> Tensor:
    """Return the Euclidean distance between all places of a grid, in patches: ``(N, N)``."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    return (places.unsqueeze(0) - places.unsqueeze(1)).norm(dim=-1)
