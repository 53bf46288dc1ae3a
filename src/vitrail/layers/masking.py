"""Which patches are hidden: masks are ``(B, N)`` or ``(N,)`` bool, True (1) = hidden."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vitrail.errors import ConfigError


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
