"""PatchDrop (Naseer et al. 2021, section 3.1): cells of an image are blacked out, or tokens of a ViT are removed.

A share r of N cells is round(r N) cells (halves up), the same number in every image. The order in which the cells of an
image go does not depend on the share: what is hidden at 30 % is hidden at 40 % too.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from vitrail.stress.grids import Grid, spread
from vitrail.stress.image import StressImage

Order = Literal["random", "salient", "non_salient"]
"""random: any cell; salient: what matters most goes first; non_salient: what matters least."""


def count_of(share: float, cells: int) -> int:
    """Return how many of so many cells a share is, in [0, 1]; halves are rounded up."""
    return math.floor(share * cells + 0.5)


def order_of(image: StressImage, grid: Grid, order: Order, random: np.random.RandomState) -> np.ndarray:
    """Return the cells of an image in the order in which they go: int64 ``(N,)``.

    Args:
        image: the image, with its saliency unless the order is random.
        grid: the cells; what matters in one is the mean over its pixels, and of two alike the first one goes first.
        order: which of the three orders.
        random: the image's own random numbers.
    """
    if order == "random":
        return random.permutation(grid.count)
    assert image.saliency is not None
    means = grid.means(spread(image.saliency, *image.size))
    return np.argsort(-means if order == "salient" else means, kind="stable")


def black_out(pixels: np.ndarray, grid: Grid, gone: np.ndarray) -> np.ndarray:
    """Make cells black.

    Args:
        pixels: uint8 ``(C, H, W)``.
        grid: the cells.
        gone: numbers of the cells.
    """
    hidden = np.isin(grid.cells(*pixels.shape[1:]), gone)
    return np.where(hidden, np.uint8(0), pixels)


def dropped(image: StressImage, share: float, random: np.random.RandomState, grid: Grid, order: Order) -> np.ndarray:
    """Return an image without a share of its cells, uint8 ``(C, H, W)``."""
    gone = order_of(image, grid, order, random)[: count_of(share, grid.count)]
    return black_out(image.pixels, grid, gone)


def kept_tokens(
    image: StressImage, share: float, random: np.random.RandomState, grid: Grid, order: Order
) -> np.ndarray:
    """Return which patches of a ViT stay when a share of them is removed: int64 ``(V,)``, rising."""
    return np.sort(order_of(image, grid, order, random)[count_of(share, grid.count) :])


__all__ = ["Order", "black_out", "count_of", "dropped", "kept_tokens", "order_of"]
