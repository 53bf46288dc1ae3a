"""Which patches are hidden, at random, in blocks, on a grid or as the user says; and masks as index lists.

Masks are ``(B, N)`` or ``(N,)`` bool, True (1) = hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.errors import ConfigError, nearest

Masking = Literal["random", "block", "grid"]
MASKINGS: tuple[Masking, ...] = get_args(Masking)

GRID_RATIO = 0.75
"""What a grid hides: three of every four patches."""

# BEiT (Bao et al. 2021, algorithm 1) on its grid of 14x14: blocks of at least 16 patches, at aspects of 0.3 to 1 / 0.3.
SMALLEST_BLOCK = 16 / 196
NARROWEST_BLOCK = 0.3
BLOCK_TRIES = 100


def visible_count(patches: int, ratio: float) -> int:
    """How many of ``patches`` stay visible at a mask ratio: ``int(N * (1 - ratio))``, as published.

    Raises:
        ConfigError: nothing would be hidden, or nothing would be left.
    """
    # Rounded first: 1 - 0.9 is a hair below 0.1, and would cost a patch.
    visible = int(round(patches * (1.0 - ratio), 6))
    if not 0 < visible < patches:
        raise ConfigError(
            f"mask_ratio {ratio} leaves {visible} of {patches} patches visible; "
            f"choose one between {1 / patches:.3f} and {1 - 1 / patches:.3f}"
        )
    return visible


def random_mask(patches: int, ratio: float, batch: int | None = None, device: torch.device | str = "cpu") -> Tensor:
    """Hide a random share of the patches, uniformly without replacement (MAE, section 3).

    Drawn from torch's global random numbers.

    Args:
        patches: N.
        ratio: share hidden, in (0, 1).
        batch: B, every row drawn by itself; None draws a single row.
        device: where the mask is made.

    Returns:
        ``(B, N)`` or ``(N,)`` bool, every row with the same number of hidden patches.
    """
    shape = (patches,) if batch is None else (batch, patches)
    visible = visible_count(patches, ratio)
    rank = torch.rand(shape, device=device).argsort(dim=-1).argsort(dim=-1)
    return rank >= visible


def check_masking(masking: str, ratio: float) -> None:
    """Check that a kind of mask exists and can hide this share of the patches.

    Raises:
        ConfigError: it does not, or cannot.
    """
    if masking not in MASKINGS:
        raise ConfigError(f"masking is one of {', '.join(MASKINGS)}, not {masking!r}{nearest(str(masking), MASKINGS)}")
    if not 0.0 < ratio < 1.0:
        raise ConfigError(f"mask_ratio must lie between 0 and 1, not {ratio}")
    if masking == "grid" and ratio != GRID_RATIO:
        raise ConfigError(f"masking grid keeps one of every four patches: its mask_ratio is {GRID_RATIO}, not {ratio}")


def draw_mask(
    masking: Masking,
    grid: tuple[int, int],
    ratio: float,
    batch: int | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw which patches are hidden, from torch's global random numbers.

    Args:
        masking: random, block or grid (MAE, figure 6).
        grid: ``(h, w)``, with N = h * w.
        ratio: share hidden, in (0, 1).
        batch: B, every row drawn by itself; None draws a single row.
        device: where the mask is made.

    Returns:
        ``(B, N)`` or ``(N,)`` bool, every row with the same number of hidden patches.

    Raises:
        ConfigError: an unknown kind, or a ratio that it cannot hide.
    """
    check_masking(masking, ratio)
    if masking == "random":
        return random_mask(grid[0] * grid[1], ratio, batch, device)
    draw = grid_mask if masking == "grid" else lambda grid: block_mask(grid, ratio)
    rows = [draw(grid) for _ in range(1 if batch is None else batch)]
    return (rows[0] if batch is None else torch.stack(rows)).to(device)


def grid_mask(grid: tuple[int, int]) -> Tensor:
    """Keep the first of every 2x2 patches and hide the other three: ``(N,)`` bool, the same every time.

    Raises:
        ConfigError: the grid is a single patch.
    """
    h, w = grid
    if h * w < 2:
        raise ConfigError("masking grid needs more than one patch")
    hidden = torch.ones(h, w, dtype=torch.bool)
    hidden[::2, ::2] = False
    return hidden.flatten()


def block_mask(grid: tuple[int, int], ratio: float) -> Tensor:
    """Hide rectangles until the share is reached (BEiT, algorithm 1): ``(N,)`` bool.

    Unlike there, the last rectangle is cut short, row by row, so that the number of hidden patches is exact.
    """
    h, w = grid
    count = h * w - visible_count(h * w, ratio)
    hidden = torch.zeros(h, w, dtype=torch.bool)
    for _ in range(BLOCK_TRIES):
        missing = count - int(hidden.sum())
        if not missing:
            return hidden.flatten()
        top, left, height, width = _draw_block(grid, missing)
        block = torch.zeros_like(hidden)
        block[top : top + height, left : left + width] = True
        _hide(hidden, block, missing)
    # Hardly ever: what is left to hide kept being missed.
    _hide(hidden, ~hidden, count - int(hidden.sum()))
    return hidden.flatten()


def _draw_block(grid: tuple[int, int], missing: int) -> tuple[int, int, int, int]:
    """Draw the top, left, height and width of a rectangle of at most ``missing`` patches, where that is a block."""
    h, w = grid
    share, aspect, down, right = torch.rand(4).tolist()
    smallest = max(1, round(SMALLEST_BLOCK * h * w))
    area = smallest + share * max(0, missing - smallest)
    # Uniform in the logarithm, so that tall blocks are as frequent as wide ones.
    stretch = math.exp((2 * aspect - 1) * -math.log(NARROWEST_BLOCK))
    height = min(h, max(1, round(math.sqrt(area * stretch))))
    width = min(w, max(1, round(math.sqrt(area / stretch))))
    return int(down * (h - height + 1)), int(right * (w - width + 1)), height, width


def _hide(hidden: Tensor, block: Tensor, most: int) -> None:
    """Hide the patches of a block that are not hidden yet, ``most`` of them, in place."""
    new = (block & ~hidden).flatten().nonzero().flatten()[:most]
    hidden.view(-1)[new] = True


def mask_of_patches(patches: Iterable[int], grid: tuple[int, int]) -> Tensor:
    """Hide the patches with these numbers, counted from 0 in reading order: ``(N,)`` bool.

    Raises:
        ConfigError: there is no such patch, or none or all of them would be hidden.
    """
    h, w = grid
    hidden = torch.zeros(h * w, dtype=torch.bool)
    for patch in patches:
        if not 0 <= patch < h * w:
            raise ConfigError(f"the mask names patch {patch}; a grid of {h}x{w} has patches 0 to {h * w - 1}")
        hidden[patch] = True
    return _checked(hidden)


def mask_of_image(brightness: Tensor, grid: tuple[int, int]) -> Tensor:
    """Hide the patches that are bright in an image of the mask: ``(N,)`` bool.

    Args:
        brightness: ``(H, W)`` in [0, 1]; it is laid over the whole input, and where a patch's mean is above 0.5 the
            patch is hidden.
        grid: ``(h, w)`` of the input.

    Raises:
        ConfigError: none or all of the patches would be hidden.
    """
    # At least a pixel for each patch, then the mean over each patch's own part of the image.
    means = F.adaptive_avg_pool2d(brightness.float()[None, None], grid)
    return _checked((means > 0.5).flatten())


def _checked(hidden: Tensor) -> Tensor:
    count = int(hidden.sum())
    if not 0 < count < len(hidden):
        raise ConfigError(f"the mask hides {count} of {len(hidden)} patches; hide some and leave some")
    return hidden


class Split(NamedTuple):
    """A mask as index lists, so that tokens can be gathered and put back.

    Attributes:
        visible: ``(B, V)`` indices of visible patches, ascending.
        hidden: ``(B, N - V)`` indices of hidden patches, ascending.
        restore: ``(B, N)``; gathering ``cat([visible, hidden])`` by it gives the original order.
        mask: ``(B, N)`` bool, 1 = hidden.
    """

    visible: Tensor
    hidden: Tensor
    restore: Tensor
    mask: Tensor


def split(mask: Tensor) -> Split:
    """Turn a mask ``(B, N)`` into index lists.

    Raises:
        ConfigError: the rows hide different numbers of patches, all of them, or none.
    """
    counts = mask.sum(dim=1)
    hidden = int(counts[0])
    if not bool((counts == hidden).all()):
        raise ConfigError(
            f"every row of a mask must hide the same number of patches; these hide {int(counts.min())} "
            f"to {int(counts.max())}"
        )
    if not 0 < hidden < mask.shape[1]:
        raise ConfigError(f"the mask hides {hidden} of {mask.shape[1]} patches; hide some and leave some")
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    visible = mask.shape[1] - hidden
    return Split(order[:, :visible], order[:, visible:], order.argsort(dim=1), mask)
