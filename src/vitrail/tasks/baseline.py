"""What a guess from the visible neighbours scores: the baseline a model that fills in hidden patches has to beat."""

from __future__ import annotations

import torch
from torch import Tensor


def neighbour_mean(target: Tensor, mask: Tensor, grid: tuple[int, int], channels: int) -> Tensor:
    """Guess each patch from the visible ones around it: the baseline a trained model has to beat.

    Every pixel of a patch gets the mean colour, in the target's scale, of the visible patches among its eight
    neighbours; where none is visible, of all visible patches.

    Args:
        target: ``(B, N, P * P * C)``.
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.
        channels: C.

    Returns:
        ``(B, N, P * P * C)``.
    """
    colour = target.unflatten(-1, (-1, channels)).mean(dim=2)  # (B, N, C)
    guess = visible_neighbours(mask, grid) @ colour
    return guess.repeat(1, 1, target.shape[-1] // channels)


def visible_neighbours(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share out each patch among the visible ones of its eight neighbours; where there are none, among all visible.

    Args:
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.

    Returns:
        ``(B, N, N)`` weights of the patches (last axis) for each patch; they add up to 1.
    """
    y, x = torch.meshgrid(*(torch.arange(n, device=mask.device) for n in grid), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], dim=1)
    adjacent = ((places[:, None] - places[None]).abs().amax(dim=-1) == 1).float()  # (N, N)
    visible = (~mask).float()
    weights = adjacent.unsqueeze(0) * visible.unsqueeze(1)  # (B, N, N)
    lonely = weights.sum(dim=-1, keepdim=True) == 0
    weights = torch.where(lonely, visible.unsqueeze(1), weights)
    return weights / weights.sum(dim=-1, keepdim=True)
