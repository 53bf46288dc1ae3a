"""Settings for pretraining a SimMIM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vitrail.ranges import HIDDEN, SIDE, Range
from vitrail.settings.training import PretrainSettings


@dataclass(frozen=True)
class SimMIMSettings(PretrainSettings):
    """Pretrain a SimMIM on images without labels, with a ViT or a Swin."""

    FIRST: ClassVar[tuple[str, ...]] = (*PretrainSettings.FIRST, "mask_ratio", "mask_unit")
    RANGES: ClassVar[dict[str, Range]] = {"mask_ratio": HIDDEN, "mask_unit": SIDE}

    objective: str = "simmim"
    """mae: fill in hidden patches; mpp: ViT's masked patch prediction; simmim: the pixels of hidden squares, also of a
    Swin."""
    mask_ratio: float = 0.75
    """Share of the squares that is hidden."""
    mask_unit: int = 32
    """Side of the squares that are hidden as one, in pixels."""
