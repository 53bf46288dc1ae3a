"""Which patches of some images are hidden for a figure, from seeds alone or as the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.console import percent
from vitrail.layers.masking import GRID_RATIO, Masking, draw_mask


@dataclass(frozen=True)
class MaskVariant:
    """One way to hide patches of each of some images.

    Attributes:
        mask: ``(B, N)`` bool, 1 = hidden.
        caption: what to call it.
    """

    mask: Tensor
    caption: str


def seeded_mask(patches: int, ratio: float, batch: int, seed: int) -> Tensor:
    """Draw a random mask ``(B, N)``, 1 = hidden, from a seed; torch's random numbers go on as if nothing was drawn.

    Raises:
        ConfigError: the ratio hides nothing or everything.
    """
    return _seeded("random", (1, patches), ratio, batch, seed)


def mask_variants(
    grid: tuple[int, int],
    batch: int,
    *,
    maskings: Sequence[Masking] = ("random",),
    ratios: Sequence[float] = (0.75,),
    seeds: Sequence[int] = (0,),
) -> list[MaskVariant]:
    """Hide patches of ``batch`` images in every kind, at every ratio, from every seed.

    The grid comes once, at its only ratio, where that is among the ratios. The same seed hides the same patches.

    Raises:
        ConfigError: a ratio hides nothing or everything, or a kind cannot hide it.
    """
    found = []
    for masking in maskings:
        fitting = [ratio for ratio in ratios if masking != "grid" or ratio == GRID_RATIO] or ratios
        for ratio in fitting:
            for seed in seeds[:1] if masking == "grid" else seeds:
                kind = f", {masking}" if masking != "random" or len(maskings) > 1 else ""
                number = f", mask {seed}" if len(seeds) > 1 and masking != "grid" else ""
                mask = _seeded(masking, grid, ratio, batch, seed)
                found.append(MaskVariant(mask, f"{percent(float(mask.float().mean()))} hidden{kind}{number}"))
    return found


def given_mask(mask: Tensor, batch: int) -> MaskVariant:
    """Hide the same patches ``(N,)`` of every image."""
    return MaskVariant(mask.expand(batch, -1), f"{percent(float(mask.float().mean()))} hidden, as given")


def _seeded(masking: Masking, grid: tuple[int, int], ratio: float, batch: int, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return draw_mask(masking, grid, ratio, batch)
