"""What stands in the place of cells that are hidden from a model which cannot do without them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.explain.cells import Cells

Fill = Callable[[Tensor, Tensor, Cells], Tensor]
"""Takes images ``(B, C, H, W)``, which cells are hidden in S variants of each ``(B, S, N)`` bool, and the cells;
returns the variants ``(B, S, C, H, W)`` with something else in the place of what is hidden."""


def mean_fill(images: Tensor, hidden: Tensor, cells: Cells) -> Tensor:
    """Fill hidden cells with the mean colour of their image."""
    return replaced(images, images.mean(dim=(2, 3), keepdim=True).expand_as(images), hidden, cells)


def blur_fill(images: Tensor, hidden: Tensor, cells: Cells) -> Tensor:
    """Fill hidden cells with the blurred image: a Gaussian whose deviation is the side of a cell."""
    return replaced(images, blurred(images, float(cells.side)), hidden, cells)


FILLS: dict[str, Fill] = {"mean": mean_fill, "blur": blur_fill}


def replaced(images: Tensor, others: Tensor, hidden: Tensor, cells: Cells) -> Tensor:
    """Put the pixels of other images ``(B, C, H, W)`` where cells are hidden ``(B, S, N)``: ``(B, S, C, H, W)``."""
    covered = cells.over_pixels(hidden).unsqueeze(2)
    return torch.where(covered, others.unsqueeze(1), images.unsqueeze(1))


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Blur images ``(B, C, H, W)`` by a Gaussian of this deviation in pixels, cut off at three; edges are repeated."""
    reach = math.ceil(3 * deviation)
    places = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = (-0.5 * (places / deviation) ** 2).exp()
    kernel = kernel / kernel.sum()
    planes = images.flatten(0, 1).unsqueeze(1)
    rows = F.conv2d(F.pad(planes, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    both = F.conv2d(F.pad(rows, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return both.view_as(images)
